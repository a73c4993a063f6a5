"""A stand-in for GitHub behind the `gh` that a release calls: commits, trees and tags are those of the repository
that it is called in, releases are directories in $GH_STATE. It refuses what GitHub refuses."""

import json
import os
import subprocess
import sys
import tempfile

STATE = os.environ["GH_STATE"]


def git(*arguments, **options):
    run = subprocess.run(["git", *arguments], capture_output=True, text=True, **options)
    if run.returncode:
        sys.exit(f"gh: HTTP 422: {run.stderr.strip()}")
    return run.stdout.strip()


def exists(reference):
    return subprocess.run(["git", "rev-parse", "-q", "--verify", reference], capture_output=True).returncode == 0


def fields(arguments):
    words = ("--field", "--raw-field")
    pairs = [arguments[i + 1] for i, word in enumerate(arguments) if word in words]
    return dict(pair.split("=", 1) for pair in pairs)


def option(arguments, name, otherwise=None):
    return arguments[arguments.index(name) + 1] if name in arguments else otherwise


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


def reference(method, path, given):
    """Makes, moves or lists references."""
    if path == "git/refs":
        git("update-ref", given["ref"], given["sha"], "0" * 40)
    elif path.startswith("git/matching-refs/"):
        name = path.removeprefix("git/matching-")
        print(git("for-each-ref", "--format=%(refname)", f"{name}*"))
    elif method == "PATCH":
        name = path.removeprefix("git/")
        if not exists(name):
            sys.exit("gh: Reference does not exist (HTTP 422)")
        git("update-ref", name, given["sha"])


def releases():
    for name in sorted(os.listdir(STATE)):
        if os.path.isfile(f"{STATE}/{name}/release.json"):
            yield name, json.load(open(f"{STATE}/{name}/release.json"))


def write(number, document):
    os.makedirs(f"{STATE}/{number}", exist_ok=True)
    json.dump(document, open(f"{STATE}/{number}/release.json", "w"))


def release(method, path, given):
    """Makes, changes, deletes or lists releases."""
    _, _, number = path.partition("/")
    if path.startswith("releases?"):
        for number, document in releases():
            if document["tag_name"] == os.environ["GH_TAG"]:
                print(number, json.dumps(document["draft"]))
    elif path == "releases":
        number = str(len(os.listdir(STATE)) + 1)
        write(number, json.load(sys.stdin))
        print(number)
    elif method == "DELETE":
        os.rename(f"{STATE}/{number}/release.json", f"{STATE}/{number}/deleted.json")
    elif method == "PATCH":
        document = dict(releases())[number]
        # GitHub would make the tag, but then it is not the one of the commit that was made for it.
        if not exists(f"refs/tags/{document['tag_name']}"):
            sys.exit("gh: the release has no tag")
        write(number, {**document, "draft": given["draft"] == "true", "latest": given["make_latest"] == "true"})


def upload(address, arguments):
    number, name = address.split("/releases/")[1].split("/assets?name=")
    target = f"{STATE}/{number}/{name}"
    if os.path.exists(target) or not dict(releases())[number]["draft"]:
        sys.exit("gh: Validation Failed (HTTP 422): already_exists")
    open(target, "wb").write(open(option(arguments, "--input"), "rb").read())


def attestation(arguments):
    if b"rogue" in open(arguments[1], "rb").read() or option(arguments, "--source-digest") != git("rev-parse", "HEAD"):
        sys.exit("gh: no attestation")


def main():
    arguments = sys.argv[1:]
    if os.environ.get("GH_FAILS") and os.environ["GH_FAILS"] in " ".join(arguments):
        sys.exit("gh: HTTP 502")
    if arguments[0] == "attestation":
        return attestation(arguments[1:])
    method = option(arguments, "--method", "GET")
    address = next(word for word in arguments if "repos/acme/gate/" in word)
    path = address.partition("repos/acme/gate/")[2]
    if address.startswith("https://uploads.github.com/"):
        upload(address, arguments)
    elif path == "git/trees":
        print(tree(json.load(sys.stdin)))
    elif path == "git/commits":
        print(commit(json.load(sys.stdin)))
    elif path.startswith("git/"):
        reference(method, path, fields(arguments))
    elif path.startswith("releases"):
        release(method, path, fields(arguments))
    else:
        sys.exit(f"gh: Not Found (HTTP 404): {path}")


main()
