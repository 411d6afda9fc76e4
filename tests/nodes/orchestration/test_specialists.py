"""The analyst, the fact checker and the SEO editor of an orchestrator."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from graphengine import Runner, ScriptedModel, TextFile
from graphengine.briefs.article import Fact, Findings
from graphengine.models.scripted import calls
from graphs.orchestrator import orchestrator
from nodes.orchestration.agents import SPECIALISTS, WORKERS, analyst, fact_checker, seo
from nodes.orchestration.handover import Role
from nodes.orchestration.planning import make_plan
from nodes.orchestration.specialists import check_facts, check_listed, list_figures, list_for_search

NOTE = Path(__file__).parents[2] / "briefs" / "held" / "audit_note.md"
FACTS = Findings(
    key_areas=["Orders"],
    facts={
        "Orders": [
            Fact(text="Of the 57 orders above that limit, 19 did not carry one.", file="a.md", line=3),
            Fact(text="The depot manager was not interviewed.", file="a.md", line=4),
        ]
    },
)
TEAM = {**WORKERS, **SPECIALISTS}
TEXT = "# Audit\n\n{}\n\n## Sources\n\n- a.md\n"


def needed(*claims: str) -> Mapping[str, str]:
    """Return what a step needs: the findings, and a text with these claims."""
    return {"facts": FACTS.model_dump_json(), "text": TEXT.format("\n".join(claims))}


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("Of the 57 orders above that limit, 19 did not carry one [a.md:3].", "supported"),
        ("Of the 57 orders above that limit, 29 did not carry one [a.md:3].", "contradicted"),
        ("The depot manager was interviewed [a.md:4].", "contradicted"),
        ("The buyers were trained in March [a.md:4].", "not found"),
        ("Of the 57 orders above that limit, 19 did not carry one [b.md:1].", "not found"),
    ],
)
def test_each_claim_is_compared_with_its_passage(claim: str, verdict: str) -> None:
    """Figures and negations of a claim are compared too; a place outside the findings supports nothing."""
    assert check_facts(needed(claim)).startswith(f"- {verdict}: ")


def test_figures_are_listed_and_not_computed_by_rules() -> None:
    """Rules list figures with their places, and with a line that says they were not computed."""
    assert list_figures(needed("A.")).splitlines() == [
        "- Of the 57 orders above that limit, 19 did not carry one. [a.md:3]",
        "",
        "Listed by rules, which compute nothing.",
    ]


@pytest.mark.parametrize("rule", [list_figures, check_facts, lambda needed: list_for_search("Tides", needed)])
def test_without_anything_to_work_on_a_step_fails(rule: object) -> None:
    """It does not make anything up."""
    assert callable(rule)
    with pytest.raises(ValueError, match="among no results"):
        rule({})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("Title: A", "three lines"),
        ("Title: A\nDescription: short\nTags: a, b, c", "too few"),
        (f"Title: A\nDescription: {'d' * 155}\nTags: a, a", "different tags"),
    ],
)
def test_a_listing_keeps_to_the_limits(answer: str, message: str) -> None:
    """The message says by how much it does not."""
    with pytest.raises(ValueError, match=message):
        check_listed(answer)


async def test_an_analyst_calculates_with_a_tool_and_cites_the_findings() -> None:
    """A place that no finding has goes back to the model."""
    turns = [
        calls(("calculate", {"expression": "round(19 / 57 * 100, 1)"})),
        "A third had none [b.md:9].",
        "33.3 % of the orders had none: round(19 / 57 * 100, 1) [a.md:3].",
    ]
    with ScriptedModel(turns) as model:
        answer = await analyst.but(model=model).run(task="Share?", job="Audit", needed=needed("A."), recalled={})
    assert "33.3 %" in answer
    assert model.requests[1].messages[-1].text == "33.3"
    assert "there is no b.md:9" in model.requests[2].messages[-1].text


async def test_a_model_gives_a_verdict_for_each_claim_and_three_lines_for_search() -> None:
    """A model gives a verdict for each claim and three lines for search; otherwise the answer goes back."""
    two = needed("Of the 57 orders above that limit, 19 did not carry one [a.md:3].", "The manager spoke [a.md:4].")
    lines = "- supported: 19 of 57 [a.md:3]\n- contradicted: spoke [a.md:4] (not interviewed)"
    with ScriptedModel(["- supported: all", lines]) as model:
        assert await fact_checker.but(model=model).run(task="Check", job="Audit", needed=two, recalled={}) == lines
    assert "the text has 2 claims and the answer 1 verdicts" in model.requests[1].messages[-1].text
    listed = f"Title: Audit\nDescription: {'d' * 155}\nTags: audit, orders, depot"
    with ScriptedModel(["Audit", listed]) as model:
        assert await seo.but(model=model).run(task="SEO", job="Audit", needed=two, recalled={}) == listed


def test_they_are_planned_if_a_task_asks_for_them() -> None:
    """The analyst, the fact checker and SEO are planned if a task asks for them, and only then."""
    sources = [TextFile(path="a.md", text="The sea.")]
    task = "How many orders lacked a signature? Calculate the percentage. Verify the text. Add SEO."
    roles = [step.role for step in make_plan(task, sources, list(TEAM), [], {}, [])]
    assert {Role.ANALYST, Role.FACT_CHECKER, Role.SEO} <= set(roles)
    plain = [step.role for step in make_plan("How many orders lacked one?", sources, list(TEAM), [], {}, [])]
    assert {Role.ANALYST, Role.FACT_CHECKER, Role.SEO}.isdisjoint(plain)


async def test_an_orchestrator_has_the_facts_checked_by_rules() -> None:
    """Its answer ends with the figures, the verdicts, and a listing of the text's own words."""
    task = (
        "What did the audit of purchasing at the depot find? Calculate the percentage of orders above the limit. "
        "Verify the text. Add SEO."
    )
    source = TextFile(path="audit_note.md", text=NOTE.read_text("utf-8"))
    async with Runner() as runner:
        result = await runner.start(orchestrator(workers=TEAM), {"task": task, "sources": [source]}).result()
    text = str(result.output)
    assert result.label == "answered"
    assert "## Figures" in text
    assert text.count("- supported: ") > 10
    assert "- contradicted" not in text
    (description,) = (line for line in text.splitlines() if line.startswith("Description: "))
    assert "by rules" not in description
