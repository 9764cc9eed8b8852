"""The report: tables, pictures and the page, from what lies in folders."""
