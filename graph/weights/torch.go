package weights

import (
	"fmt"
	"math"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// torchPickle is what PyTorch's two formats share: the meaning of the pickle that describes the tensors.
type torchPickle struct {
	storages map[string]*pyStorage
	opaque   map[string]bool // classes and functions that were not interpreted
}

func newTorchPickle() *torchPickle {
	return &torchPickle{storages: map[string]*pyStorage{}, opaque: map[string]bool{}}
}

// run reads one pickle at the start of data, which starts at byte base of the file.
func (p *torchPickle) run(data []byte, base int64) (value any, length int, err error) {
	m := &machine{data: data, base: base, make: p.make, persistent: p.persistent, seen: p.seen}
	return m.run()
}

// constructors are the functions that the unpickler knows, by the names that pickles use.
var constructors = map[string]func(p *torchPickle, m *machine, args []any) (any, error){
	"collections.OrderedDict":                    (*torchPickle).orderedDict,
	"collections.defaultdict":                    (*torchPickle).defaultDict,
	"torch.Size":                                 (*torchPickle).size,
	"torch._utils._rebuild_tensor":               (*torchPickle).rebuildTensor,
	"torch._utils._rebuild_tensor_v2":            (*torchPickle).rebuildTensor,
	"torch._utils._rebuild_tensor_v3":            (*torchPickle).rebuildTensorV3,
	"torch._utils._rebuild_parameter":            (*torchPickle).rebuildParameter,
	"torch._utils._rebuild_parameter_with_state": (*torchPickle).rebuildParameter,
}

// seen notes a class or function that this package does not interpret.
func (p *torchPickle) seen(name string) {
	switch {
	case constructors[name] != nil, name == rebuildFromType, name == "torch.Tensor", name == "torch.nn.parameter.Parameter":
	case storageClass(name) != "", strings.HasPrefix(name, "torch.") && dtypes[name[len("torch."):]].size > 0:
	case len(p.opaque) < maxOpaqueNames:
		p.opaque[name] = true
	}
}

const maxOpaqueNames = 1000

// storageClass returns the element type of a storage class such as torch.FloatStorage or torch.cuda.HalfStorage, or "".
func storageClass(name string) string {
	if !strings.HasPrefix(name, "torch.") {
		return ""
	}
	return storageDTypes[name[strings.LastIndexByte(name, '.')+1:]]
}

const rebuildFromType = "torch._tensor._rebuild_from_type_v2"

// make builds the value of callable(*args) when callable is one of the constructors, and an opaque value otherwise.
func (p *torchPickle) make(m *machine, callable any, args []any) (any, error) {
	g, ok := callable.(*pyGlobal)
	if !ok {
		return &pyOpaque{className(callable)}, nil
	}
	name := g.name
	if name == rebuildFromType && len(args) >= 3 {
		// (function, type, args, state): a tensor with attributes. The function is looked up here like any other.
		inner, ok := args[2].(*pyTuple)
		if f, known := args[0].(*pyGlobal); known && ok && constructors[f.name] != nil {
			return constructors[f.name](p, m, inner.items)
		}
	}
	if c := constructors[name]; c != nil {
		return c(p, m, args)
	}
	return &pyOpaque{name}, nil
}

// orderedDict makes a dict, empty or from a sequence of pairs as Python 2 wrote it.
func (p *torchPickle) orderedDict(m *machine, args []any) (any, error) {
	d := &pyDict{}
	if len(args) == 0 {
		return d, nil
	}
	pairs, ok := itemsOf(args[0])
	if !ok || len(args) > 1 {
		return nil, m.bad("OrderedDict: want at most one list of pairs, got %d arguments, the first %s", len(args), describe(args[0]))
	}
	if err := m.charge(8 * len(pairs)); err != nil { // a pair takes more room than most opcodes bring
		return nil, err
	}
	d.entries = make([]pyEntry, 0, len(pairs))
	for _, pair := range pairs {
		kv, ok := itemsOf(pair)
		if !ok || len(kv) != 2 {
			return nil, m.bad("OrderedDict: want pairs, got %s", describe(pair))
		}
		d.entries = append(d.entries, pyEntry{kv[0], kv[1]})
	}
	return d, nil
}

// defaultDict ignores the function that would make missing values.
func (p *torchPickle) defaultDict(*machine, []any) (any, error) { return &pyDict{}, nil }

func (p *torchPickle) size(m *machine, args []any) (any, error) {
	if len(args) == 1 {
		if t, ok := args[0].(*pyTuple); ok {
			return t, nil
		}
	}
	return nil, m.bad("torch.Size: want one tuple, got %d arguments", len(args))
}

func itemsOf(v any) ([]any, bool) {
	switch v := v.(type) {
	case *pyList:
		return v.items, true
	case *pyTuple:
		return v.items, true
	}
	return nil, false
}

// rebuildTensor is _rebuild_tensor(storage, offset, size, stride) and _rebuild_tensor_v2, which adds requires_grad,
// backward_hooks and metadata, all without meaning here.
func (p *torchPickle) rebuildTensor(m *machine, args []any) (any, error) {
	if len(args) < 4 || len(args) > 7 {
		return nil, m.bad("rebuild tensor: want 4 to 7 arguments, got %d", len(args))
	}
	s, ok := args[0].(*pyStorage)
	if !ok {
		if o, ok := args[0].(*pyOpaque); ok { // a storage of a type we do not know
			return o, nil
		}
		return nil, m.bad("rebuild tensor: want a storage, got %s", describe(args[0]))
	}
	offset, ok := args[1].(int64)
	if !ok {
		return nil, m.bad("rebuild tensor: storage offset: want an int, got %s", describe(args[1]))
	}
	size, ok := args[2].(*pyTuple)
	stride, ok2 := args[3].(*pyTuple)
	if !ok || !ok2 {
		return nil, m.bad("rebuild tensor: want tuples of sizes and strides, got %s and %s", describe(args[2]), describe(args[3]))
	}
	return &pyTensor{storage: s, dtype: s.dtype, offset: offset, size: size, stride: stride, at: m.base + int64(m.at)}, nil
}

// rebuildTensorV3 has the element type as its seventh argument, over a storage that counts bytes.
func (p *torchPickle) rebuildTensorV3(m *machine, args []any) (any, error) {
	if len(args) < 7 || len(args) > 8 {
		return nil, m.bad("rebuild tensor: want 7 or 8 arguments, got %d", len(args))
	}
	name := className(args[6])
	d, ok := dtypes[strings.TrimPrefix(name, "torch.")]
	if !ok {
		return &pyOpaque{name}, nil
	}
	v, err := p.rebuildTensor(m, args[:6])
	if t, ok := v.(*pyTensor); ok && err == nil {
		t.dtype = d
	}
	return v, err
}

// rebuildParameter is _rebuild_parameter(data, requires_grad, backward_hooks) and the variant with a state: the data.
func (p *torchPickle) rebuildParameter(m *machine, args []any) (any, error) {
	if len(args) < 3 || len(args) > 4 {
		return nil, m.bad("rebuild parameter: want 3 or 4 arguments, got %d", len(args))
	}
	switch v := args[0].(type) {
	case *pyTensor, *pyOpaque:
		return v, nil
	}
	return nil, m.bad("rebuild parameter: want a tensor, got %s", describe(args[0]))
}

// ints returns the numbers of a tuple of sizes or strides.
func (t *pyTuple) ints() ([]int, error) {
	if len(t.items) > graph.MaxRank {
		return nil, fmt.Errorf("want at most %d dimensions, got %d", graph.MaxRank, len(t.items))
	}
	out := make([]int, len(t.items))
	for i, x := range t.items {
		n, ok := x.(int64)
		if !ok || n < 0 || int64(int(n)) != n {
			return nil, fmt.Errorf("dimension %d: want an int of at least 0, got %s", i, describeInt(x))
		}
		out[i] = int(n)
	}
	return out, nil
}

func describeInt(v any) string {
	if n, ok := v.(int64); ok && n < 0 {
		return "a negative one"
	}
	return describe(v)
}

// persistent resolves ("storage", class, key, location, elements[, view]) to a storage, and ("module", class, ...),
// which the legacy format writes for the source code of modules, to the class.
//
// view is (key, offset, elements) of a view of the storage, or None; only the legacy format has it.
func (p *torchPickle) persistent(m *machine, id any) (any, error) {
	t, ok := id.(*pyTuple)
	if !ok || len(t.items) < 2 {
		return nil, m.bad("persistent id: want a tuple, got %s", describe(id))
	}
	switch t.items[0] {
	case "module":
		return t.items[1], nil
	case "storage":
	default:
		return nil, m.bad("persistent id: want a storage, got %s", describe(t.items[0]))
	}
	if len(t.items) < 5 || len(t.items) > 6 {
		return nil, m.bad("persistent id: want 5 or 6 items, got %d", len(t.items))
	}
	key, ok := t.items[2].(string)
	elems, ok2 := t.items[4].(int64)
	if !ok || !ok2 || elems < 0 || elems > math.MaxInt64/16 {
		return nil, m.bad("persistent id: want a key and a number of elements, got %s and %s", describe(t.items[2]), describeInt(t.items[4]))
	}
	class := className(t.items[1])
	name := storageClass(class)
	if name == "" {
		return &pyOpaque{class}, nil
	}
	s := &pyStorage{key: key, dtype: dtypes[name], elems: elems, viewElems: elems, at: m.base + int64(m.at)}
	if first := p.storages[key]; first == nil {
		p.storages[key] = s
	} else if first.dtype != s.dtype || first.elems != s.elems {
		return nil, m.bad("storage %s: mentioned as %d %s and as %d %s", quote(key), first.elems, first.dtype.name, s.elems, s.dtype.name)
	}
	if len(t.items) == 6 && t.items[5] != nil {
		return s, s.setView(m, t.items[5])
	}
	return s, nil
}

func (s *pyStorage) setView(m *machine, v any) error {
	items, ok := itemsOf(v)
	if ok && len(items) == 3 {
		offset, ok := items[1].(int64)
		n, ok2 := items[2].(int64)
		if ok && ok2 && offset >= 0 && n >= 0 && offset <= s.elems && n <= s.elems-offset {
			s.viewOffset, s.viewElems = offset, n
			return nil
		}
	}
	return m.bad("storage %s: view: want (key, offset, elements) inside %d elements, got %s", quote(s.key), s.elems, describe(v))
}

// place checks a tensor against the size of its storage and makes it readable.
func (t *pyTensor) place(name string, src *storage) (*tensor, error) {
	fail := func(format string, args ...any) (*tensor, error) {
		return nil, badTensor(name, t.at, t.at+1, format, args...)
	}
	dims, err := t.size.ints()
	if err != nil {
		return fail("size: %v", err)
	}
	stride, err := t.stride.ints()
	if err != nil {
		return fail("stride: %v", err)
	}
	shape, err := graph.MakeShape(dims)
	if err != nil {
		return fail("%v", err)
	}
	if len(stride) != len(dims) {
		return fail("want a stride for each of %d dimensions, got %d", len(dims), len(stride))
	}
	s := t.storage
	start := s.viewOffset * int64(s.dtype.size) // persistent bounds both products
	if start%int64(t.dtype.size) != 0 {
		return fail("a view at element %d of %s is not aligned for %s", s.viewOffset, s.dtype.name, t.dtype.name)
	}
	limit := s.viewElems * int64(s.dtype.size) / int64(t.dtype.size)
	last := lastElem(t.offset, dims, stride, limit)
	if t.offset < 0 || t.offset > limit || shape.Elems() > 0 && last >= limit {
		return fail("size %v with strides %v from element %d: reaches outside its storage of %d elements (%s)", shape, stride, t.offset, limit, src.where())
	}
	return &tensor{dtype: t.dtype, shape: shape, offset: int(start/int64(t.dtype.size) + t.offset), stride: stride, src: src}, nil
}

// lastElem is the highest element that a view touches, or limit when it is limit or more.
func lastElem(offset int64, dims, stride []int, limit int64) int64 {
	last := offset
	for i, d := range dims {
		steps, step := int64(d)-1, int64(stride[i])
		if steps <= 0 || step == 0 {
			continue
		}
		if last >= limit || steps > (limit-last)/step {
			return limit
		}
		last += steps * step
	}
	return last
}
