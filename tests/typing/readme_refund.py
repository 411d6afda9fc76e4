# refund.py
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, ask, value


class Case(BaseModel):
    complaint: str = "My lamp arrived broken."
    reply: str = ""
    verdict: str = ""


writer = Agent("writer", model="anthropic:claude-sonnet-5-5", prompt="Answer: {complaint}\nChange this: {verdict}")
graph = Graph("refund", Case)
graph.add_node("write", writer, writes="reply")
graph.add_node("approve", ask("Send this reply? Type yes, or what to change.\n{reply}", str), writes="verdict")
graph.add_path(START, "write", "approve")
graph.add_edge("approve", END, when=value("verdict") == "yes")
graph.add_edge("approve", "write")  # without a condition: in every other case
