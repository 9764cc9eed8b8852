"""Hand-made problems at the edges of what a branching rule meets, as LP files."""

from __future__ import annotations

EDGE_CASES = {
    "unbounded-integers": """Minimize
 obj: 3 x + 2 y + 4 z
Subject To
 c1: 2 x + 3 y + z >= 17.5
 c2: x - y + 5 z >= 3.3
 c3: 7 x + 2 y + 3 z >= 41.7
Bounds
 0 <= x
 0 <= y
 0 <= z
General
 x y z
End
""",
    "equality-rows": """Maximize
 obj: 5 a + 4 b + 3 c + 7 d + 6 e
Subject To
 c1: 2 a + 3 b + c + 4 d + 5 e = 19
 c2: 4 a + b + 2 c + 3 d + e <= 23
 c3: 3 a + 4 b + 2 c + d + 2 e <= 21
Bounds
 a <= 7
 b <= 7
 c <= 7
 d <= 7
 e <= 7
General
 a b c d e
End
""",
    "infeasible": """Minimize
 obj: x + y + z
Subject To
 c1: 6 x + 10 y + 15 z = 29.0
 c2: 2 x + 2 y + 2 z = 7
Bounds
 0 <= x <= 50
 0 <= y <= 50
 0 <= z <= 50
General
 x y z
End
""",
    "unbounded": """Maximize
 obj: x + 2 y
Subject To
 c1: x - y <= 3.5
 c2: 2 x - 3 y <= 4.2
Bounds
 0 <= x
 0 <= y
General
 x y
End
""",
    "free-variables": """Minimize
 obj: 2 x - 3 y + w
Subject To
 c1: 3 x + 2 y + 1.5 w >= -12.3
 c2: x - 4 y - 0.7 w >= -19.9
 c3: -2 x + y + w >= -7.7
 c4: x + y + w <= 11.1
 c5: w >= -9.6
Bounds
 x free
 y free
 w free
General
 x y
End
""",
    "solved-at-the-root": """Maximize
 obj: x + y
Subject To
 c1: x + y <= 3
Binary
 x y
End
""",
    "no-integer-variables": """Minimize
 obj: 2 x + 3 y
Subject To
 c1: x + y >= 4.5
 c2: x - y <= 1.25
Bounds
 0 <= x <= 10
 0 <= y <= 10
End
""",
    "slacks": """Minimize
 obj: 7 a + 5 b + 9 c + 4 d
Subject To
 c1: 3 a + 5 b + 2 c + 4 d - r = 11
 c2: 2 a - b + 3 c - d - s = 4
Bounds
 a <= 9
 b <= 9
 c <= 9
 d <= 9
 r <= 1
 s <= 2
General
 a b c d
End
""",
}
