from graphengine import Media, Message
from graphengine.models import ToolCall

PHOTO = Media(data=b"\x89PNG\r\n\x1a\n", name="photo.png")
REPORT = Media(data=b"%PDF-1.7")
SOUND = Media(data=b"RIFF\x00\x00\x00\x00WAVEfmt ")
QUESTION = Message(role="user", text="Compare [media 1: photo.png] and [media 2].", media=(PHOTO, REPORT))
TURN = [
    Message(role="user", text="Look."),
    Message(role="assistant", calls=(ToolCall(id="c1", name="shoot"), ToolCall(id="c2", name="add"))),
    Message(role="tool", text="[media 1: photo.png]", media=(PHOTO,), call_id="c1"),
    Message(role="tool", text="3", call_id="c2"),
]
LATER = [*TURN, Message(role="assistant", text="A boat."), Message(role="user", text="?")]
ALONE = [
    TURN[0],
    Message(role="assistant", calls=TURN[1].calls[:1]),
    Message(role="tool", media=(PHOTO,), call_id="c1"),
]
LINKS = (
    Media(url="https://a.example/b.png", name="boat"),
    Media(url="https://a.example/r?id=1", type="application/pdf"),
)
FILES = (Media(file_id="file-1", type="image/png"), Media(file_id="file-2", type="application/pdf"))
LINKED = Message(role="user", text="Compare.", media=LINKS)
FILED = Message(role="user", text="Compare.", media=FILES)
HEARD = Message(role="user", text="What is said?", media=(SOUND,))
