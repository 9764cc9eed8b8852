"""Plug-ins of SCIP that do not keep their model alive."""

from __future__ import annotations

import weakref

import pyscipopt

from gnn_branching.solver.settings import RULE_NAME, RuleSettings


class WeaklyBound:
    """Goes before PySCIPOpt's class in a plug-in's bases; call :meth:`bind` once the plug-in is included.

    PySCIPOpt lets model and plug-in hold each other, so that a model that is no longer used lives on until the garbage
    collector happens to look: gigabytes, when many are solved in turn.
    """

    _model: weakref.ref[pyscipopt.Model]

    @property
    def model(self) -> pyscipopt.Model:
        """The model that the plug-in was bound to; only while it lives, as in its callbacks."""
        model = self._model()
        if model is None:
            raise ReferenceError("the plug-in's model is gone")
        return model

    @property
    def outlives_its_model(self) -> bool:
        """Whether the model is gone, as it is in callbacks while the garbage collector has SCIP freed."""
        return self._model() is None

    def bind(self, model: pyscipopt.Model) -> None:
        """Remember the model, and let go of PySCIPOpt's own reference to it."""
        self._model = weakref.ref(model)
        _attribute_of(self).__set__(self, None)

    def include(self, model: pyscipopt.Model, policy: str, settings: RuleSettings) -> None:
        """Become the learned rule of a model that has not been solved yet."""
        description = f"learned branching: {policy}"
        model.includeBranchrule(self, RULE_NAME, description, settings.priority, settings.max_depth, 1.0)
        self.bind(model)

    @property
    def is_in_another_model(self) -> bool:
        """Whether somebody has included the plug-in in another model since."""
        return _attribute_of(self).__get__(self) is not None


def _attribute_of(plugin: object):  # type: ignore[no-untyped-def]
    """Return PySCIPOpt's descriptor of the attribute ``model``, which is shadowed here."""
    bases = type(plugin).__mro__
    return next(vars(base)["model"] for base in bases if "model" in vars(base) and not issubclass(base, WeaklyBound))
