# SPDX-License-Identifier: MIT
#
# libown-gdb.py - handles, cells and who holds what, in gdb
#
# (gdb) source libown-gdb.py      then print a handle, a cell, a header
# (gdb) own-dump                  what own_dump() writes, of a process or a core
#
# Reads memory only and calls nothing. What a slot is about is in private
# structures: libown itself must have debug information (-g).
import gdb
import gdb.printing

NOTE, MAP = 1, 1
HOLD, COUNTED, TRYING, DRAINING, UNIQUE, DRAFT, DETACHED, OWNED, MADE, \
    GATED, WHOLE, DETACHED_UNIQUE, PUBLISHED = range(13)
MODES = {
    HOLD: "shared", COUNTED: "shared (counted)", TRYING: "asking",
    DRAINING: "unique, waiting for readers", UNIQUE: "unique",
    DRAFT: "unique (draft)", DETACHED: "shared (detached)",
    OWNED: "unique (owned)", MADE: "unique (new)", GATED: "unique",
    WHOLE: "the whole", DETACHED_UNIQUE: "unique (detached)",
    PUBLISHED: "shared (published)",
}
SLOTLESS = (DETACHED, OWNED, DETACHED_UNIQUE, PUBLISHED)
LIVE = 0x11fe
FLAGS = ((1, "WRITER"), (2, "BIASED"), (4, "WAITERS"), (8, "DEAD"),
         (16, "ORPHAN"), (32, "FAIR"))


def at(address, name):
    return gdb.Value(address).cast(gdb.lookup_type(name).pointer()) \
        .dereference()


def text(pointer):
    return pointer.string(errors="replace") if int(pointer) else None


def word_text(word):
    low, high = word & 0xffffffff, word >> 32
    parts = [name for bit, name in FLAGS if low & bit] or ["free"]
    if low >> 8:
        parts.append("%d counted" % (low >> 8))
    if high:
        parts.append("%d reads to the bias" % high)
    return ", ".join(parts)


def header_type(header):
    address = int(header["type"]) & 0xfffffffffff0
    return at(address, "struct own_type") if address else None


def place(site):
    if not int(site):
        return ""
    return " at %s:%d" % (text(site["file"]), int(site["line"]))


def key_of(word):
    """The key of the map's entry whose header is there, or None."""
    header = at(word, "struct own__header")
    flags = int(header["type"]) & 7
    if not flags & 1:
        return None
    prefix = at(word - 16, "struct own_i_prefix")
    if flags & 2:
        return str(int(prefix["key"]))
    described = header_type(header)
    size = int(described["size"])
    if int(described["flags"]) & 1:
        size = int(at(word - 32, "unsigned long"))
    n = min(int(prefix["key"]), 39)
    data = gdb.selected_inferior().read_memory(word + 16 + size, n).tobytes() \
        if n else b""
    return "".join(chr(c) if 32 <= c <= 126 else "." for c in data)


def where(container, word):
    """Type, key and container of a borrowed word, as far as they are known."""
    if container & MAP:
        gate = container & ~63
        whole = at(gate, "struct own_i_whole")
        if int(whole["state"]) != LIVE:
            return None, None, None
        name = text(whole["name"]) or "a map"
        if word == gate:
            return ("map, unique" if container & 16 else
                    "map, shared" if container & 8 else "map"), None, name
        return text(whole["type"]["name"]), key_of(word), name
    if not container:
        return None, None, None
    cell = at(container, "struct own_cell")
    if int(cell["state"]) != LIVE:
        return None, None, None
    return text(cell["type"]["name"]), None, text(cell["name"])


def what(container, word, address):
    try:
        kind, key, name = where(container, word)
    except gdb.MemoryError:
        kind = key = name = None
    s = "%s 0x%x" % (kind or "object", address)
    if key:
        s += " of key " + key
    if name:
        s += " in " + name
    return s


def records():
    record = gdb.lookup_symbol("own_i_records")[0] or \
        gdb.lookup_static_symbol("own_i_records")
    if record is None:
        raise gdb.GdbError("libown has no debug information here: "
                           "own_i_records is unknown")
    record = record.value()
    while int(record):
        yield record.dereference()
        record = record["next"]


def slots(record):
    block = record["block"]
    while True:
        first = int(block["first"])
        objects, metas = block["s"]["object"], block["s"]["slot"]
        low, high = objects.type.range()
        for i in range(low, high + 1):
            yield first + i, int(objects[i]), metas[i]
        if not int(block["next"]):
            return
        block = block["next"].dereference()


def thread(record):
    name = record["name"].string(errors="replace")
    return "thread %d" % (int(record["tid"]) & 0xffffffff) + \
        (" (%s)" % name if name else "")


class Handle:
    """struct own_shared and own_unique."""

    def __init__(self, value):
        self.object = int(value["object"])
        self.how = int(value["how"])

    def to_string(self):
        if not self.object:
            return "empty"
        kind = self.how >> 12 & 15
        mode = MODES.get(kind, "unknown")
        if kind in SLOTLESS:
            try:
                header = at(self.object - 16, "struct own__header")
                name = text(header_type(header)["name"])
            except (gdb.MemoryError, AttributeError, TypeError):
                name = None
            return "%s, %s 0x%x" % (mode, name or "object", self.object)
        for record in records():
            if int(record["id"]) != self.how >> 16 & 0xfffff:
                continue
            for number, word, slot in slots(record):
                if number != self.how & 0xfff:
                    continue
                if int(slot["how"]) != self.how or not word:
                    return "stale (%s) 0x%x" % (mode, self.object)
                return "%s, %s%s, of %s" % (mode, what(
                    int(slot["container"]), word & ~NOTE, self.object),
                    place(slot["site"]), thread(record))
        return "damaged 0x%x" % self.object


class Header:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        described = header_type(self.value)
        return "%s of %s" % (word_text(int(self.value["word"])),
                             text(described["name"]) if described else "none")


class Cell:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        if int(v["state"]) != LIVE:
            return "no cell, or destroyed"
        return "%s, %s %s 0x%x: %s" % (
            text(v["name"]) or "cell",
            "versioned" if int(v["policy"]) else "exclusive",
            text(v["type"]["name"]), int(v["current"]),
            word_text(int(v["word"])))


class OwnDump(gdb.Command):
    """own-dump: who holds what and who waits, as own_dump() writes it."""

    def __init__(self):
        super().__init__("own-dump", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        print("libown: handles and waits")
        for record in records():
            if int(record["used"]):
                self.one(record)

    def one(self, record):
        wait = record["wait"]
        waits = int(wait["sequence"]) & 1
        for _, word, slot in slots(record):
            if not word:
                continue
            how = int(slot["how"])
            line = "libown:   %s, %s, %s%s" % (
                thread(record), MODES.get(how >> 12 & 15, "unknown"),
                what(int(slot["container"]), word & ~NOTE, word & ~NOTE),
                place(slot["site"]))
            if waits and int(wait["site"]):
                line += ", waits" + place(wait["site"])
            print("%s, sequence %d" % (line, how >> 36))
        if waits:
            verb = {3: "waits for the readers of", 4: "waits at the gate of "
                    "the whole"}.get(int(wait["kind"]) & 0xff,
                                     "waits for the writer of")
            print("libown:   thread %d %s 0x%x%s" % (
                int(record["tid"]) & 0xffffffff, verb, int(wait["word"]),
                place(wait["site"])))


def printers():
    p = gdb.printing.RegexpCollectionPrettyPrinter("libown")
    p.add_printer("handle", "^own_(shared|unique)$", Handle)
    p.add_printer("header", "^own__header$", Header)
    p.add_printer("cell", "^own_cell$", Cell)
    return p


gdb.printing.register_pretty_printer(None, printers(), replace=True)
OwnDump()
