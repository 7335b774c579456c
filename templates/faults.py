"""What is wrong with a template, said with its name and line: the operator's to mend, whose folder may replace it."""

from binder.errors import OperatorFault


class TemplateFault(OperatorFault):
    """A template is not there, cannot be read, or asks for what it is not given; `line` counts from 1."""

    def __init__(self, template: str, line: int | None, what: str) -> None:
        place = f"{template} line {line}" if line else template
        super().__init__(f"The template {place}: {what}")
        self.template = template
        self.line = line
