package weights

import "bytes"

const (
	maxPickleBytes = 32 << 20
	maxPickleOps   = 1 << 20
	maxPickleLine  = 4096 // bytes of an argument that ends at a newline
	maxGlobalBytes = 200  // of a module and a name
	maxProtocol    = 5
	opProto        = 0x80
	opStop         = '.'
)

// machine runs one pickle. It has a stack, marks into the stack and a memo, as Python's pickle.py has, and no way to
// call anything: what REDUCE and its relatives mean is decided by make, which builds values of pickle_value.go.
//
// Each opcode is at least one byte and makes at most one value of bounded size, strings and lists take what their opcode
// brings, and values are never copied or walked without charge: so memory and time grow with the length of the
// pickle, which is bounded.
type machine struct {
	data  []byte // the pickle and whatever follows it
	base  int64  // where data starts in the file
	pos   int
	at    int // position of the current opcode
	stack []any
	marks []int
	memo  map[uint32]any
	done  bool
	ops   int // opcodes so far, and copied items

	// make builds the value of callable(*args); it never executes anything.
	make func(m *machine, callable any, args []any) (any, error)
	// persistent resolves a persistent id.
	persistent func(m *machine, id any) (any, error)
	// seen is told the full name of every class and function.
	seen func(name string)
}

// run executes the pickle at the start of data and returns its value and its length.
func (m *machine) run() (any, int, error) {
	m.memo = map[uint32]any{}
	for !m.done {
		m.at = m.pos
		if err := m.charge(1); err != nil {
			return nil, 0, err
		}
		b, err := m.take(1)
		if err != nil {
			return nil, 0, err
		}
		op := &opcodes[b[0]]
		if op.run == nil {
			if op.name != "" {
				return nil, 0, m.bad("opcode %s is not supported", op.name)
			}
			return nil, 0, m.bad("unknown opcode 0x%02x", b[0])
		}
		if err := op.run(m); err != nil {
			return nil, 0, err
		}
	}
	if len(m.stack) != 1 || len(m.marks) != 0 {
		return nil, 0, m.bad("want one value when the pickle ends, got %d and %d marks", len(m.stack), len(m.marks))
	}
	return m.stack[0], m.pos, nil
}

// charge counts n opcodes. Whoever copies items that stay where they were charges for them, or else a short pickle could
// copy a long list again and again.
func (m *machine) charge(n int) error {
	if m.ops += n; m.ops > maxPickleOps {
		return m.bad("want at most %d opcodes", maxPickleOps)
	}
	return nil
}

// bad is an error about the current opcode.
func (m *machine) bad(format string, args ...any) error {
	return bad(m.base+int64(m.at), m.base+int64(max(m.pos, m.at+1)), "pickle: "+format, args...)
}

// name is the name of the current opcode, for errors.
func (m *machine) name() string { return opcodes[m.data[m.at]].name }

// take returns the next n bytes, a view of the file. n may come from the file.
func (m *machine) take(n uint64) ([]byte, error) {
	if rest := uint64(len(m.data) - m.pos); n > rest {
		if m.at == m.pos {
			return nil, m.bad("ends without the opcode STOP")
		}
		return nil, m.bad("%s: want %d bytes, the data ends after %d", m.name(), n, rest)
	}
	if uint64(m.pos)+n > maxPickleBytes {
		return nil, m.bad("want at most %d bytes", maxPickleBytes)
	}
	b := m.data[m.pos : m.pos+int(n)]
	m.pos += int(n)
	return b, nil
}

// number takes a little-endian unsigned number of n bytes.
func (m *machine) number(n int) (uint64, error) {
	b, err := m.take(uint64(n))
	var v uint64
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v, err
}

// counted takes a length of n bytes and as many bytes as it says.
func (m *machine) counted(n int) ([]byte, error) {
	length, err := m.number(n)
	if err != nil {
		return nil, err
	}
	return m.take(length)
}

// line takes the bytes up to the next newline and drops the newline.
func (m *machine) line() (string, error) {
	rest := m.data[m.pos:]
	i := bytes.IndexByte(rest[:min(len(rest), maxPickleLine+1)], '\n')
	if i < 0 {
		return "", m.bad("%s: want a line of at most %d bytes", m.name(), maxPickleLine)
	}
	m.pos += i + 1
	return string(rest[:i]), nil
}

func (m *machine) push(v any) error {
	m.stack = append(m.stack, v)
	return nil
}

// floor is the height that the stack cannot be popped below: the last mark.
func (m *machine) floor() int {
	if len(m.marks) > 0 {
		return m.marks[len(m.marks)-1]
	}
	return 0
}

// pop takes the n topmost values, lowest first. The result is valid until the next push.
func (m *machine) pop(n int) ([]any, error) {
	if len(m.stack)-n < m.floor() {
		return nil, m.bad("%s: want %d values on the stack, got %d", m.name(), n, len(m.stack)-m.floor())
	}
	v := m.stack[len(m.stack)-n:]
	m.stack = m.stack[:len(m.stack)-n]
	return v, nil
}

// popMark takes the values above the last mark, and the mark.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, m.bad("%s: want a mark on the stack", m.name())
	}
	v := m.stack[m.floor():]
	m.stack = m.stack[:m.floor()]
	m.marks = m.marks[:len(m.marks)-1]
	return v, nil
}

// top is the topmost value, left where it is.
func (m *machine) top() (any, error) {
	v, err := m.pop(1)
	if err != nil {
		return nil, err
	}
	m.stack = m.stack[:len(m.stack)+1]
	return v[0], nil
}

// global makes a class or function by name.
func (m *machine) global(module, name string) (*pyGlobal, error) {
	if len(module)+len(name) > maxGlobalBytes {
		return nil, m.bad("%s: want a name of at most %d bytes, got %d", m.name(), maxGlobalBytes, len(module)+len(name))
	}
	g := &pyGlobal{module + "." + name}
	m.seen(g.name)
	return g, nil
}

// build pushes what make builds of callable(*args). args may lie above the stack: make must not keep it.
func (m *machine) build(callable any, args []any) error {
	v, err := m.make(m, callable, args)
	if err != nil {
		return err
	}
	return m.push(v)
}

// store puts the topmost value into the memo.
func (m *machine) store(index uint64) error {
	if index > 1<<32-1 {
		return m.bad("%s: memo index %d is out of range", m.name(), index)
	}
	v, err := m.top()
	m.memo[uint32(index)] = v
	return err
}

func (m *machine) fetch(index uint64) error {
	v, ok := m.memo[uint32(index)]
	if !ok || index > 1<<32-1 {
		return m.bad("%s: nothing stands in the memo at %d", m.name(), index)
	}
	return m.push(v)
}

// add appends items to the list on top of the stack.
func (m *machine) add(items []any) error {
	v, err := m.topAfter(items)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *pyList:
		v.items = append(v.items, items...)
	case *pySet, *pyOpaque: // may be a list to Python; nothing looks inside
	default:
		return m.bad("%s: want a list or set on the stack, got %s", m.name(), describe(v))
	}
	return nil
}

// set puts keys and values, in turn, into the dict on top of the stack.
func (m *machine) set(items []any) error {
	v, err := m.topAfter(items)
	if err != nil {
		return err
	}
	if len(items)%2 != 0 {
		return m.bad("%s: want keys and values, got %d items", m.name(), len(items))
	}
	switch v := v.(type) {
	case *pyDict:
		for i := 0; i < len(items); i += 2 {
			v.entries = append(v.entries, pyEntry{items[i], items[i+1]})
		}
	case *pyOpaque:
	default:
		return m.bad("%s: want a dict on the stack, got %s", m.name(), describe(v))
	}
	return nil
}

// topAfter is the value below popped items.
func (m *machine) topAfter(items []any) (any, error) {
	if len(m.stack) == m.floor() {
		return nil, m.bad("%s: want a container below %d items", m.name(), len(items))
	}
	return m.stack[len(m.stack)-1], nil
}
