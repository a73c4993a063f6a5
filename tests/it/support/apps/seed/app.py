"""Notes that are kept as long as the process is."""

from flask import Flask, request

app = Flask(__name__)
notes = ["water the plants"]


@app.get("/")
def index():
    return "notes: " + ", ".join(notes) + "\n"


@app.post("/")
def add():
    notes.append(request.get_data(as_text=True))
    return index(), 201
