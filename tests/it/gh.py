"""A stand-in for GitHub behind the `gh` that a release calls: commits, trees and tags are those of the repository
that it is called in, releases are files in $GH_STATE. It refuses what GitHub refuses."""

import json
import os
import subprocess
import sys
import tempfile


def git(*arguments, **options):
    run = subprocess.run(["git", *arguments], capture_output=True, text=True, **options)
    if run.returncode:
        sys.exit(f"gh: HTTP 422: {run.stderr.strip()}")
    return run.stdout.strip()


def exists(reference):
    return subprocess.run(["git", "rev-parse", "-q", "--verify", reference], capture_output=True).returncode == 0


def fields(arguments):
    pairs = [arguments[i + 1] for i, word in enumerate(arguments) if word in ("-f", "-F")]
    return dict(pair.split("=", 1) for pair in pairs)


def tree(document):
    [entry] = document["tree"]
    blob = git("hash-object", "-w", "--stdin", input=entry["content"])
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "GIT_INDEX_FILE": f"{directory}/index"}
        git("read-tree", document["base_tree"], env=environment)
        git("update-index", "--add", "--cacheinfo", f'{entry["mode"]},{blob},{entry["path"]}', env=environment)
        return git("write-tree", env=environment)


def commit(document):
    [parent] = document["parents"]
    return git("commit-tree", document["tree"], "-p", parent, "-m", document["message"])


def api(arguments):
    path = next(word for word in arguments if word.startswith("repos/acme/gate/"))
    path = path.removeprefix("repos/acme/gate/")
    if path == "git/trees":
        print(tree(json.load(sys.stdin)))
    elif path == "git/commits":
        print(commit(json.load(sys.stdin)))
    elif path == "git/refs":
        given = fields(arguments)
        git("update-ref", given["ref"], given["sha"], "0" * 40)
    elif path.startswith("git/refs/") and "PATCH" in arguments:
        reference = path.removeprefix("git/")
        if not exists(reference):
            sys.exit("gh: Reference does not exist (HTTP 422)")
        git("update-ref", reference, fields(arguments)["sha"])
    else:
        sys.exit(f"gh: Not Found (HTTP 404): {path}")


def release(verb, tag, arguments):
    directory = os.path.join(os.environ["GH_STATE"], tag)
    if verb != "create" and not os.path.isdir(directory):
        sys.exit("release not found")
    if verb == "create":
        os.mkdir(directory)
        notes = arguments[arguments.index("--notes-file") + 1]
        open(f"{directory}/notes", "w").write(open(notes).read())
        open(f"{directory}/draft", "w").close()
    elif verb == "upload":
        for name in arguments:
            if os.path.isfile(name):
                open(f"{directory}/{os.path.basename(name)}", "wb").write(open(name, "rb").read())
    elif verb == "edit":
        if not exists(f"refs/tags/{tag}"):
            sys.exit("gh: a published release has to have its tag")
        if os.path.exists(f"{directory}/draft"):
            os.remove(f"{directory}/draft")


def main():
    arguments = sys.argv[1:]
    with open(os.path.join(os.environ["GH_STATE"], "log"), "a") as log:
        log.write(" ".join(arguments[:3]) + "\n")
    if os.environ.get("GH_FAILS") and os.environ["GH_FAILS"] in " ".join(arguments):
        sys.exit("gh: HTTP 502")
    if arguments[0] == "api":
        api(arguments[1:])
    else:
        release(arguments[1], arguments[2], arguments[3:])


main()
