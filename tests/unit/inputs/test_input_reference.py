"""The reference page of the input."""

from kmc_oxy.inputs.input_reference import reference_markdown
from kmc_oxy.inputs.schema import Input, Step, sections_in


def test_reference_names_every_key():
    page = reference_markdown()

    def visit(model, seen):
        for name, field in model.model_fields.items():
            assert f"`{name}`" in page
            assert field.description, f"{model.__name__}.{name} is not described"
            assert field.description.replace("|", "\\|") in page
            for inner in sections_in(field.annotation):
                if inner not in seen:
                    visit(inner, seen | {inner})

    visit(Input, {Input})
    assert "| `spacing` | length | m | 0.835 nm | ≥ 1e-10 m, ≤ 1e-08 m |" in page
    assert all(f"## `{name}`" in page for name in Step.model_fields)
