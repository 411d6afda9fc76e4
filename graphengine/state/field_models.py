"""The pydantic models of one field alone, by which its values are validated and written."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from typing import Any


class FieldModels:
    """The models of one field alone, with the state's configuration.

    Each is made when it is first needed: that takes 0.3 ms, most of the time of a compilation, and a field of plain
    values often needs none.

    Args:
        model: The state.
        name: The field's name.
        info: The field.
        checked_type: Its type, annotated with the state's validators for it.
        has_rules: Whether the field as a whole has validators or rules beyond those of its type.
    """

    def __init__(
        self,
        model: type[BaseModel],
        name: str,
        info: FieldInfo,
        checked_type: Any,  # noqa: ANN401 - an annotation is any object
        *,
        has_rules: bool,
    ) -> None:
        self._model = model
        self._name = name
        self._info = info
        self._checked_type = checked_type
        self._has_rules = has_rules

    @cached_property
    def single(self) -> type[BaseModel]:
        """The model without the state's validators for the field."""
        return self._made(self._info.annotation, self._info)

    @cached_property
    def checked(self) -> type[BaseModel]:
        """The same with the state's validators for it."""
        if self._checked_type is self._info.annotation:
            return self.single
        return self._made(self._checked_type, self._info)

    @cached_property
    def loose(self) -> type[BaseModel]:
        """The same without the rules of the field as a whole, for parts of its value."""
        if not self._has_rules:
            return self.single
        return self._made(self._info.annotation, FieldInfo(annotation=self._checked_type))

    def make(self) -> None:
        """Make all of them now.

        Raises:
            PydanticUserError: pydantic cannot make them.
        """
        _ = self.single, self.checked, self.loose

    def _made(self, annotation: object, info: FieldInfo) -> type[BaseModel]:
        model, name = self._model, self._name
        config = ConfigDict(**{**model.model_config, "extra": "forbid", "frozen": False})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a field may shadow a name of BaseModel; the user's model warned already
            return create_model(f"{model.__name__}.{name}", __config__=config, **{name: (annotation, info)})  # type: ignore[call-overload,no-any-return]
