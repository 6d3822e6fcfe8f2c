package weights

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
)

// opcode is one instruction. One with a name and no function is refused by name.
type opcode struct {
	name string
	run  func(*machine) error
}

// opcodes of protocols 0 to 5. Source: CPython's Lib/pickletools.py.
var opcodes [256]opcode

func init() {
	constant := func(v any) func(*machine) error { return func(m *machine) error { return m.push(v) } }
	for code, op := range map[byte]opcode{
		opProto: {"PROTO", opProtocol},
		0x95:    {"FRAME", opFrame},
		opStop:  {"STOP", func(m *machine) error { m.done = true; return nil }},
		'(':     {"MARK", func(m *machine) error { m.marks = append(m.marks, len(m.stack)); return nil }},
		'0':     {"POP", opPop},
		'1':     {"POP_MARK", func(m *machine) error { _, err := m.popMark(); return err }},
		'2':     {"DUP", func(m *machine) error { v, err := m.top(); m.stack = append(m.stack, v); return err }},

		'N':  {"NONE", constant(nil)},
		0x88: {"NEWTRUE", constant(true)},
		0x89: {"NEWFALSE", constant(false)},
		'I':  {"INT", opInt},
		'L':  {"LONG", opLong},
		'J':  {"BININT", func(m *machine) error { v, err := m.number(4); return pushIf(m, int64(int32(v)), err) }},
		'K':  {"BININT1", func(m *machine) error { v, err := m.number(1); return pushIf(m, int64(v), err) }},
		'M':  {"BININT2", func(m *machine) error { v, err := m.number(2); return pushIf(m, int64(v), err) }},
		0x8a: {"LONG1", func(m *machine) error { b, err := m.counted(1); return pushIf(m, longOf(b), err) }},
		0x8b: {"LONG4", func(m *machine) error { b, err := m.counted(4); return pushIf(m, longOf(b), err) }},
		'F':  {"FLOAT", opFloat},
		'G':  {"BINFLOAT", opBinFloat},

		'S':  {"STRING", opString},
		'T':  {"BINSTRING", text(4)},
		'U':  {"SHORT_BINSTRING", text(1)},
		'V':  {"UNICODE", opUnicode},
		'X':  {"BINUNICODE", text(4)},
		0x8c: {"SHORT_BINUNICODE", text(1)},
		0x8d: {"BINUNICODE8", text(8)},
		'B':  {"BINBYTES", blob(4)},
		'C':  {"SHORT_BINBYTES", blob(1)},
		0x8e: {"BINBYTES8", blob(8)},
		0x96: {"BYTEARRAY8", blob(8)},

		']':  {"EMPTY_LIST", func(m *machine) error { return m.push(&pyList{}) }},
		'l':  {"LIST", func(m *machine) error { v, err := m.popMark(); return pushIf(m, &pyList{slices.Clone(v)}, err) }},
		'a':  {"APPEND", func(m *machine) error { return withPopped(m, 1, m.add) }},
		'e':  {"APPENDS", func(m *machine) error { return withMarked(m, m.add) }},
		')':  {"EMPTY_TUPLE", constant(&pyTuple{})},
		't':  {"TUPLE", func(m *machine) error { v, err := m.popMark(); return pushIf(m, &pyTuple{slices.Clone(v)}, err) }},
		0x85: {"TUPLE1", tuple(1)},
		0x86: {"TUPLE2", tuple(2)},
		0x87: {"TUPLE3", tuple(3)},
		'}':  {"EMPTY_DICT", func(m *machine) error { return m.push(&pyDict{}) }},
		'd':  {"DICT", opDict},
		's':  {"SETITEM", func(m *machine) error { return withPopped(m, 2, m.set) }},
		'u':  {"SETITEMS", func(m *machine) error { return withMarked(m, m.set) }},
		0x8f: {"EMPTY_SET", func(m *machine) error { return m.push(&pySet{}) }},
		0x90: {"ADDITEMS", func(m *machine) error { return withMarked(m, m.add) }},
		0x91: {"FROZENSET", func(m *machine) error { _, err := m.popMark(); return pushIf(m, &pySet{}, err) }},

		'p':  {"PUT", func(m *machine) error { return withDecimal(m, m.store) }},
		'q':  {"BINPUT", func(m *machine) error { return withNumber(m, 1, m.store) }},
		'r':  {"LONG_BINPUT", func(m *machine) error { return withNumber(m, 4, m.store) }},
		0x94: {"MEMOIZE", func(m *machine) error { return m.store(uint64(len(m.memo))) }},
		'g':  {"GET", func(m *machine) error { return withDecimal(m, m.fetch) }},
		'h':  {"BINGET", func(m *machine) error { return withNumber(m, 1, m.fetch) }},
		'j':  {"LONG_BINGET", func(m *machine) error { return withNumber(m, 4, m.fetch) }},

		'c':  {"GLOBAL", opGlobal},
		0x93: {"STACK_GLOBAL", opStackGlobal},
		'R':  {"REDUCE", opReduce},
		'i':  {"INST", opInst},
		'o':  {"OBJ", opObj},
		0x81: {"NEWOBJ", opReduce}, // cls.__new__(cls, *args): the same to us
		0x92: {"NEWOBJ_EX", opNewObjEx},
		'b':  {"BUILD", opBuild},
		'Q':  {"BINPERSID", opPersistent},

		'P':  {"PERSID", nil}, // a persistent id as text; PyTorch's are tuples
		0x82: {"EXT1", nil},
		0x83: {"EXT2", nil},
		0x84: {"EXT4", nil},
		0x97: {"NEXT_BUFFER", nil},
		0x98: {"READONLY_BUFFER", nil},
	} {
		opcodes[code] = op
	}
}

func pushIf(m *machine, v any, err error) error {
	if err != nil {
		return err
	}
	return m.push(v)
}

func withPopped(m *machine, n int, f func([]any) error) error {
	v, err := m.pop(n)
	if err != nil {
		return err
	}
	return f(v)
}

func withMarked(m *machine, f func([]any) error) error {
	v, err := m.popMark()
	if err != nil {
		return err
	}
	return f(v)
}

func withNumber(m *machine, bytes int, f func(uint64) error) error {
	v, err := m.number(bytes)
	if err != nil {
		return err
	}
	return f(v)
}

func withDecimal(m *machine, f func(uint64) error) error {
	s, err := m.line()
	if err != nil {
		return err
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return m.bad("%s: want a decimal number, got %s", m.name(), quote(s))
	}
	return f(v)
}

// text pushes a string with a length of n bytes before it.
func text(n int) func(*machine) error {
	return func(m *machine) error { b, err := m.counted(n); return pushIf(m, string(b), err) }
}

// blob pushes bytes with a length of n bytes before them.
func blob(n int) func(*machine) error {
	return func(m *machine) error { b, err := m.counted(n); return pushIf(m, &pyBytes{b}, err) }
}

func tuple(n int) func(*machine) error {
	return func(m *machine) error { v, err := m.pop(n); return pushIf(m, &pyTuple{slices.Clone(v)}, err) }
}

func opProtocol(m *machine) error {
	v, err := m.number(1)
	if err == nil && v > maxProtocol {
		return m.bad("want protocol 0 to %d, got %d", maxProtocol, v)
	}
	return err
}

// opFrame checks the frame's length and otherwise ignores frames, which exist for buffered reading.
func opFrame(m *machine) error {
	n, err := m.number(8)
	if rest := uint64(len(m.data) - m.pos); err == nil && n > rest {
		return m.bad("FRAME: want %d bytes, the data ends after %d", n, rest)
	}
	return err
}

// opPop drops the topmost value, or the mark when there is none above it.
func opPop(m *machine) error {
	if len(m.marks) > 0 && len(m.stack) == m.floor() {
		_, err := m.popMark()
		return err
	}
	_, err := m.pop(1)
	return err
}

// longOf is a number in little-endian two's complement.
func longOf(b []byte) any {
	if len(b) > 8 {
		return &pyBigInt{b}
	}
	var v uint64
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	if n := len(b); n > 0 && n < 8 && b[n-1]&0x80 != 0 {
		v |= math.MaxUint64 << (8 * n)
	}
	return int64(v)
}

func opInt(m *machine) error {
	s, err := m.line()
	if err != nil {
		return err
	}
	switch s { // how protocols 0 and 1 write bools
	case "00":
		return m.push(false)
	case "01":
		return m.push(true)
	}
	return pushDecimal(m, s)
}

func opLong(m *machine) error {
	s, err := m.line()
	if err != nil {
		return err
	}
	return pushDecimal(m, strings.TrimSuffix(s, "L"))
}

func pushDecimal(m *machine, s string) error {
	v, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return m.push(v)
	}
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return m.bad("%s: want a decimal number, got %s", m.name(), quote(s))
	}
	return m.push(&pyBigInt{[]byte(s)}) // only its being there matters, see legacyMagic
}

func opFloat(m *machine) error {
	s, err := m.line()
	if err != nil {
		return err
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return m.bad("FLOAT: want a number, got %s", quote(s))
	}
	return m.push(v)
}

func opBinFloat(m *machine) error {
	b, err := m.take(8)
	if err != nil {
		return err
	}
	return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
}

// opString reads a string as Python 2's repr writes it. Here and in UNICODE backslash escapes are left as they are: names
// of tensors have none.
func opString(m *machine) error {
	s, err := m.line()
	if err != nil {
		return err
	}
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' {
		return m.bad("STRING: want a quoted string, got %s", quote(s))
	}
	return m.push(s[1 : len(s)-1])
}

func opUnicode(m *machine) error {
	s, err := m.line()
	return pushIf(m, s, err)
}

func opDict(m *machine) error {
	items, err := m.popMark()
	if err != nil {
		return err
	}
	if len(items)%2 != 0 {
		return m.bad("DICT: want keys and values, got %d items", len(items))
	}
	d := &pyDict{entries: make([]pyEntry, 0, len(items)/2)}
	for i := 0; i < len(items); i += 2 {
		d.entries = append(d.entries, pyEntry{items[i], items[i+1]})
	}
	return m.push(d)
}

func opGlobal(m *machine) error {
	module, err := m.line()
	if err != nil {
		return err
	}
	name, err := m.line()
	if err != nil {
		return err
	}
	g, err := m.global(module, name)
	return pushIf(m, g, err)
}

func opStackGlobal(m *machine) error {
	v, err := m.pop(2)
	if err != nil {
		return err
	}
	module, ok := v[0].(string)
	name, ok2 := v[1].(string)
	if !ok || !ok2 {
		return m.bad("STACK_GLOBAL: want two strings, got %s and %s", describe(v[0]), describe(v[1]))
	}
	g, err := m.global(module, name)
	return pushIf(m, g, err)
}

func opReduce(m *machine) error {
	v, err := m.pop(2)
	if err != nil {
		return err
	}
	args, ok := v[1].(*pyTuple)
	if !ok {
		return m.bad("%s: want a tuple of arguments, got %s", m.name(), describe(v[1]))
	}
	return m.build(v[0], args.items)
}

func opNewObjEx(m *machine) error {
	v, err := m.pop(3)
	if err != nil {
		return err
	}
	args, ok := v[1].(*pyTuple)
	kwargs, ok2 := v[2].(*pyDict)
	if !ok || !ok2 {
		return m.bad("NEWOBJ_EX: want a tuple and a dict, got %s and %s", describe(v[1]), describe(v[2]))
	}
	if len(kwargs.entries) > 0 { // none of the constructors we know takes any
		return m.push(&pyOpaque{className(v[0])})
	}
	return m.build(v[0], args.items)
}

func opInst(m *machine) error {
	module, err := m.line()
	if err != nil {
		return err
	}
	name, err := m.line()
	if err != nil {
		return err
	}
	args, err := m.popMark()
	if err != nil {
		return err
	}
	g, err := m.global(module, name)
	if err != nil {
		return err
	}
	return m.build(g, args)
}

func opObj(m *machine) error {
	v, err := m.popMark()
	if err != nil {
		return err
	}
	if len(v) == 0 {
		return m.bad("OBJ: want a class above the mark")
	}
	return m.build(v[0], v[1:])
}

// opBuild would set the attributes of an object; none of ours has any that matter, so the state is dropped.
func opBuild(m *machine) error {
	if _, err := m.pop(1); err != nil {
		return err
	}
	v, err := m.top()
	if err != nil {
		return err
	}
	switch v.(type) {
	case *pyOpaque, *pyDict, *pyTensor, *pySet, *pyList:
		return nil
	}
	return m.bad("BUILD: want an object on the stack, got %s", describe(v))
}

func opPersistent(m *machine) error {
	v, err := m.pop(1)
	if err != nil {
		return err
	}
	p, err := m.persistent(m, v[0])
	return pushIf(m, p, err)
}

// className names what a callable would have made.
func className(callable any) string {
	switch c := callable.(type) {
	case *pyGlobal:
		return c.name
	case *pyOpaque:
		return c.class
	}
	return describe(callable)
}
