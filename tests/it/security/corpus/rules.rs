//! The rules of layers: what entries of every kind cost, and what they hide or replace.

use super::Expected::Refused;
use super::{check, counts, without};
use crate::support::tarball::{dir, entry, file, hard_link, head, long, padded, symlink, tar};

#[test]
fn only_regular_files_have_bytes() {
    let sized = |kind: u8, name: &str| vec![tar(&[head(kind, name, 5000).link("x").bytes(), file("a", 3)])];
    let alone = || counts(&[3], 3, 1);
    check(&[
        ("hard link with a size", sized(b'1', "l"), alone()),
        ("symbolic link with a size", sized(b'2', "l"), alone()),
        ("character device with a size", sized(b'3', "l"), alone()),
        ("block device with a size", sized(b'4', "l"), alone()),
        ("directory with a size", sized(b'5', "l"), alone()),
        ("pipe with a size", sized(b'6', "l"), alone()),
        ("old directory with a size", sized(b'\0', "l/"), alone()),
        ("contiguous file", vec![tar(&[entry(b'7', "c", [b'x'; 600])])], counts(&[600], 600, 1)),
        ("old regular file", vec![tar(&[entry(b'\0', "c", [b'x'; 600])])], counts(&[600], 600, 1)),
        ("unknown type", vec![tar(&[entry(b'Q', "c", "x")])], Refused("unknown type `Q`")),
        ("GNU's volume label", vec![tar(&[entry(b'V', "c", ""), file("a", 3)])], Refused("unknown type `V`")),
        ("type that cannot be printed", vec![tar(&[entry(7, "c", "x")])], Refused("unknown type `\\u{7}`")),
    ]);
}

#[test]
fn names_never_leave_the_root_and_may_be_any_bytes() {
    // Each name, and the plain name of what it has to hide.
    let same: [(&[u8], &[u8]); 14] = [
        (b"/etc/x", b"etc/x"),
        (b"//etc///x", b"etc/x"),
        (b"./etc/./x", b"etc/x"),
        (b"../../etc/x", b"etc/x"),
        (b"a/../etc/x", b"etc/x"),
        (b"a/../../../etc/x", b"etc/x"),
        (b"etc/x/", b"etc/x"),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"a\nb", b"a\nb"),
        (b"a\x1b[31m\x07", b"./a\x1b[31m\x07"),
        (b"a\\b", b"a\\b"),
        (b"\\xff", b"\\xff"),
        (b"a\0hidden", b"a"),
        (b"C:\\x", b"C:\\x"),
    ];
    for (at, (name, plain)) in same.into_iter().enumerate() {
        let case = format!("name {at}");
        check(&[(&case, vec![tar(&[file(name, 10)]), tar(&[file(plain, 1)])], counts(&[10, 1], 1, 1))]);
    }
    check(&[
        // An escape in a report is no name: the byte 0xff is another one than its four characters.
        (
            "names that are shown alike",
            vec![tar(&[file(b"\xff", 10)]), tar(&[file(b"\\xff", 1)])],
            counts(&[10, 1], 11, 2),
        ),
        ("empty name", vec![tar(&[file("", 10), file("a", 1)])], counts(&[11], 1, 1)),
        ("name of one dot", vec![tar(&[dir("."), dir("./"), file("a", 1)])], counts(&[1], 1, 1)),
        (
            "file that is the root",
            vec![tar(&[file("/", 10), file("..", 5), file("a", 1)])],
            counts(&[16], 1, 1),
        ),
        (
            "link that is the root",
            vec![tar(&[file("a", 1), symlink("/", "x"), hard_link(".", "a")])],
            counts(&[1], 1, 1),
        ),
        (
            "prefix of a ustar header",
            vec![
                tar(&[[head(b'0', "x", 10).put(345, "etc").bytes(), padded([b'x'; 10])].concat()]),
                tar(&[file("etc/x", 1)]),
            ],
            counts(&[10, 1], 1, 1),
        ),
        (
            "name of a hundred bytes",
            vec![tar(&[file("n".repeat(100), 10)]), tar(&[long(b'L', "n".repeat(100)), file("x", 1)])],
            counts(&[10, 1], 1, 1),
        ),
    ]);
}

#[test]
fn hard_links_cost_nothing_wherever_they_point() {
    let a = || file("a", 10);
    let to = |name: &str, target: &str| hard_link(name, target);
    check(&[
        ("hard link to nothing", vec![tar(&[to("l", "none")])], counts(&[0], 0, 0)),
        ("hard link to itself", vec![tar(&[to("l", "l")])], counts(&[0], 0, 0)),
        ("hard link of a file to itself", vec![tar(&[a(), to("a", "./a")])], counts(&[10], 10, 1)),
        (
            "hard link to a directory",
            vec![tar(&[dir("d"), file("d/x", 10), to("l", "d")])],
            counts(&[10], 10, 1),
        ),
        ("hard link to the root", vec![tar(&[a(), to("l", "/")])], counts(&[10], 10, 1)),
        (
            "hard link to a symbolic link",
            vec![tar(&[a(), symlink("s", "a"), to("l", "s")]), without("a")],
            counts(&[10, 0], 0, 0),
        ),
        ("hard link to a later file", vec![tar(&[to("l", "a"), a()]), without("a")], counts(&[10, 0], 0, 0)),
        (
            "hard link to a lower layer",
            vec![tar(&[a()]), tar(&[to("l", "a")]), without("a")],
            counts(&[10, 0, 0], 10, 1),
        ),
        (
            "hard link to what its layer removed",
            vec![tar(&[a()]), tar(&[file(".wh.a", 0), to("l", "a")])],
            counts(&[10, 0], 0, 0),
        ),
        (
            "hard links in a chain",
            vec![
                tar(&[a(), to("b", "a"), to("c", "b"), to("d", "c")]),
                without("a"),
                without("b"),
                without("c"),
            ],
            counts(&[10, 0, 0, 0], 10, 1),
        ),
        ("hard links in a circle", vec![tar(&[to("a", "b"), to("b", "a")])], counts(&[0], 0, 0)),
        (
            "hard link that leads out",
            vec![tar(&[a(), to("l", "../../a")]), without("a")],
            counts(&[10, 0], 10, 1),
        ),
        (
            "hard link over its own target's directory",
            vec![tar(&[file("d/x", 10), to("d", "d/x")])],
            counts(&[10], 10, 1),
        ),
        ("hard link below its own target", vec![tar(&[a(), to("a/b", "a")])], counts(&[10], 10, 1)),
        (
            "hard link over a file",
            vec![tar(&[a(), file("b", 5)]), tar(&[to("b", "a")])],
            counts(&[15, 0], 10, 1),
        ),
        (
            "hard link to nothing over a file",
            vec![tar(&[a()]), tar(&[to("a", "none")])],
            counts(&[10, 0], 0, 0),
        ),
    ]);
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_else() {
    let base = || tar(&[file("d/a", 10), file("d/b", 20), file("c", 40)]);
    let over = |entries: &[Vec<u8>]| vec![base(), tar(entries)];
    let mark = |name: &str| file(name, 0);
    let all = || counts(&[70, 0], 70, 3);
    check(&[
        ("whiteout of nothing", over(&[mark("d/.wh.none")]), all()),
        ("whiteout in no directory", over(&[mark("none/.wh.a")]), all()),
        ("whiteout of a file", over(&[mark("d/.wh.a")]), counts(&[70, 0], 60, 2)),
        ("whiteout of a directory", over(&[mark(".wh.d")]), counts(&[70, 0], 40, 1)),
        ("whiteout below a file", over(&[mark("c/.wh.x")]), all()),
        ("whiteout that leads out", over(&[mark("../.wh.c")]), counts(&[70, 0], 30, 2)),
        ("whiteout of its own layer", over(&[file("d/n", 5), mark(".wh.d")]), counts(&[70, 5], 45, 2)),
        ("whiteout before its own layer", over(&[mark(".wh.d"), file("d/n", 5)]), counts(&[70, 5], 45, 2)),
        ("whiteout with content", over(&[file("d/.wh.a", 999)]), counts(&[70, 0], 60, 2)),
        ("whiteout that is a directory", over(&[dir("d/.wh.a/")]), counts(&[70, 0], 60, 2)),
        (
            "whiteout that is a link",
            over(&[symlink("d/.wh.a", "x"), hard_link("d/.wh.b", "c")]),
            counts(&[70, 0], 40, 1),
        ),
        ("whiteout twice", over(&[mark("d/.wh.a"), mark("d/.wh.a")]), counts(&[70, 0], 60, 2)),
        ("whiteout of a whiteout", over(&[mark(".wh..wh.c")]), all()),
        ("whiteout of no name", over(&[mark(".wh."), mark("d/.wh.")]), all()),
        ("whiteout of one dot", over(&[mark("d/.wh..")]), all()),
        ("whiteout of two dots", over(&[mark("d/.wh...")]), all()),
        (
            "whiteout of a name with a newline",
            vec![tar(&[file("a\nb", 10)]), tar(&[mark(".wh.a\nb")])],
            counts(&[10, 0], 0, 0),
        ),
        ("opaque directory", over(&[mark("d/.wh..wh..opq")]), counts(&[70, 0], 40, 1)),
        (
            "opaque directory after its files",
            over(&[file("d/n", 5), mark("d/.wh..wh..opq")]),
            counts(&[70, 5], 45, 2),
        ),
        ("opaque root", over(&[mark(".wh..wh..opq"), file("n", 5)]), counts(&[70, 5], 5, 1)),
        ("opaque file", over(&[mark("c/.wh..wh..opq")]), all()),
        ("opaque nothing", over(&[mark("none/.wh..wh..opq")]), all()),
        (
            "files in directories that are called like AUFS's notes",
            over(&[dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", 99), mark(".wh..wh.aufs")]),
            counts(&[70, 99], 169, 4),
        ),
        ("the same without the directory", over(&[file(".wh..wh.x/y/z", 99)]), counts(&[70, 99], 169, 4)),
        (
            "a file in a directory that is called like a whiteout",
            over(&[file(".wh.d/z", 9)]),
            counts(&[70, 9], 79, 4),
        ),
    ]);
}

#[test]
fn what_replaces_what_is_followed() {
    let base = || tar(&[dir("d"), file("d/a", 10), file("f", 20)]);
    let over = |entries: &[Vec<u8>]| vec![base(), tar(entries)];
    let other = |kind: u8, name: &str| head(kind, name, 0).link("x").bytes();
    check(&[
        ("file over directory", over(&[file("d", 5)]), counts(&[30, 5], 25, 2)),
        ("directory over file", over(&[dir("f"), file("f/x", 5)]), counts(&[30, 5], 15, 2)),
        ("implied directory over file", over(&[file("f/x/y", 5)]), counts(&[30, 5], 15, 2)),
        ("directory over directory", over(&[dir("d"), file("d/b", 5)]), counts(&[30, 5], 35, 3)),
        ("symbolic link over directory", over(&[symlink("d", "x")]), counts(&[30, 0], 20, 1)),
        ("symbolic link over file", over(&[symlink("f", "d/a")]), counts(&[30, 0], 10, 1)),
        ("device over directory", over(&[other(b'3', "d")]), counts(&[30, 0], 20, 1)),
        ("pipe over file", over(&[other(b'6', "f")]), counts(&[30, 0], 10, 1)),
        ("file through a file", over(&[file("f/x", 5), file("f", 6)]), counts(&[30, 11], 16, 2)),
        (
            "file over a symbolic link",
            vec![tar(&[symlink("s", "f")]), tar(&[file("s", 5)])],
            counts(&[0, 5], 5, 1),
        ),
        (
            "file, directory, file",
            vec![tar(&[file("a", 1), dir("a"), file("a/b", 2), file("a", 4)])],
            counts(&[7], 4, 1),
        ),
        (
            "the same file three times",
            vec![tar(&[file("a", 1), file("a", 2), file("a", 4)])],
            counts(&[7], 4, 1),
        ),
        (
            "the same directory three times",
            vec![tar(&[dir("d"), file("d/a", 1), dir("d"), dir("./d/")])],
            counts(&[1], 1, 1),
        ),
        ("empty files over files", over(&[file("f", 0), file("d/a", 0)]), counts(&[30, 0], 0, 2)),
        (
            "a tar in a tar is a file",
            vec![tar(&[entry(b'0', "inner.tar", base())])],
            counts(&[base().len() as u64], base().len() as u64, 1),
        ),
    ]);
}
