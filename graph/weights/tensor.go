package weights

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// tensor is a view of a storage: element (i0, i1, ...) is element offset + Σ i·stride of it.
type tensor struct {
	dtype  dtype
	shape  graph.Shape
	offset int
	stride []int // in elements, one for each dimension
	src    *storage
}

func (t *tensor) info(name string) Info {
	i := Info{Name: name, DType: t.dtype.name, Shape: t.shape, Offset: -1, SizeBytes: int64(t.shape.Elems()) * int64(t.dtype.size)}
	if t.src.at >= 0 {
		i.Offset = t.src.at + int64(t.offset)*int64(t.dtype.size)
	}
	return i
}

// rowMajor returns the strides of a tensor without gaps, last dimension contiguous.
func rowMajor(s graph.Shape) []int {
	stride := make([]int, s.Rank())
	n := 1
	for i := s.Rank() - 1; i >= 0; i-- {
		stride[i] = n
		n *= max(s.Dim(i), 1)
	}
	return stride
}

// isRowMajor reports whether the elements lie in order and without gaps.
func (t *tensor) isRowMajor() bool {
	n := 1
	for i := t.shape.Rank() - 1; i >= 0; i-- {
		d := t.shape.Dim(i)
		if d != 1 && t.stride[i] != n {
			return false
		}
		n *= max(d, 1)
	}
	return true
}

// each calls f with the index of each element, counted row-major in the tensor, and its index in the storage.
func (t *tensor) each(f func(i, at int) error) error {
	n, rank := t.shape.Elems(), t.shape.Rank()
	var index [graph.MaxRank]int
	at := t.offset
	for i := range n {
		if err := f(i, at); err != nil {
			return err
		}
		for d := rank - 1; d >= 0; d-- {
			index[d]++
			at += t.stride[d]
			if index[d] < t.shape.Dim(d) {
				break
			}
			at -= index[d] * t.stride[d]
			index[d] = 0
		}
	}
	return nil
}

// Tensor reads a tensor and converts it to float32, row-major and without gaps. Stored float64 is rounded to nearest,
// ties to even; float16 and bfloat16 are exact.
//
// # Errors
//
// A [*FormatError] with the byte range when the tensor holds a NaN or an infinity, or a float64 that is too large for
// a float32, when its elements are not floating-point, or when the stored bytes do not have their checksum; an error
// when the file has no such tensor; [ErrClosed].
func (f *File) Tensor(name string) (*graph.Tensor, error) {
	var out *graph.Tensor
	err := f.withTensor(name, func(t *tensor, b []byte) error {
		if err := t.wantFloat(name); err != nil {
			return err
		}
		values := make([]float32, t.shape.Elems())
		if err := t.convert(name, values, b); err != nil {
			return err
		}
		var err error
		out, err = graph.FromFloat32s(t.shape, values)
		return err
	})
	return out, err
}

func (t *tensor) convert(name string, values []float32, b []byte) error {
	if t.isRowMajor() {
		return t.convertRun(name, values, b, 0)
	}
	return t.each(func(i, at int) error {
		v, err := t.element(name, i, at, b)
		values[i] = v
		return err
	})
}

// element converts element i, which is element at of the storage.
func (t *tensor) element(name string, i, at int, b []byte) (float32, error) {
	v := t.dtype.float64At(b[at*t.dtype.size:], t.src.order)
	if v-v != 0 { // only NaN and the infinities differ from themselves
		return 0, t.notFinite(name, i, at, v, "a finite value")
	}
	f := float32(v)
	if math.IsInf(float64(f), 0) {
		return 0, t.notFinite(name, i, at, v, "a value that fits a float32")
	}
	return f, nil
}

// convertRun converts the elements of a row-major tensor from the given one on.
func (t *tensor) convertRun(name string, values []float32, b []byte, from int) error {
	run := b[(t.offset+from)*t.dtype.size:][:len(values)*t.dtype.size]
	var convert func([]float32, []byte)
	if t.src.order == binary.LittleEndian {
		convert = converters[t.dtype.name]
	}
	if convert == nil {
		for i := range values {
			var err error
			if values[i], err = t.element(name, from+i, t.offset+from+i, b); err != nil {
				return err
			}
		}
		return nil
	}
	convert(values, run)
	for i, v := range values {
		if v-v != 0 {
			_, err := t.element(name, from+i, t.offset+from+i, b)
			return err
		}
	}
	return nil
}

// notFinite is the error about element i, which is element at of the storage.
func (t *tensor) notFinite(name string, i, at int, v float64, want string) error {
	start := t.src.at + int64(at)*int64(t.dtype.size)
	where := fmt.Sprintf("element %d %v (%s at byte %d)", i, unravel(t.shape, i), t.dtype.name, start)
	if t.src.at < 0 {
		return badTensor(name, 0, 0, "element %d %v (%s, compressed): want %s, got %v", i, unravel(t.shape, i), t.dtype.name, want, v)
	}
	return badTensor(name, start, start+int64(t.dtype.size), "%s: want %s, got %v", where, want, v)
}

// unravel returns the index in each dimension of element i, counted row-major.
func unravel(s graph.Shape, i int) []int {
	index := make([]int, s.Rank())
	for d := s.Rank() - 1; d >= 0; d-- {
		index[d] = i % s.Dim(d)
		i /= s.Dim(d)
	}
	return index
}

// Bool reads a tensor of one truth value.
//
// # Errors
//
// A [*FormatError] when it is of another type or has not one element; an error when the file has no such tensor; [ErrClosed].
func (f *File) Bool(name string) (bool, error) {
	set := false
	err := f.withTensor(name, func(t *tensor, b []byte) error {
		if i := t.info(name); t.dtype.name != "bool" || t.shape.Elems() != 1 {
			return badTensor(name, i.Offset, i.Offset+i.SizeBytes, "want one bool, got %s%v", t.dtype.name, t.shape)
		}
		set = b[t.offset] != 0
		return nil
	})
	return set, err
}

// Int64s reads a tensor of signed whole numbers, row-major.
//
// # Errors
//
// A [*FormatError] when the elements are of another type; an error when the file has no such tensor; [ErrClosed].
func (f *File) Int64s(name string) ([]int64, error) {
	var out []int64
	err := f.withTensor(name, func(t *tensor, b []byte) error {
		if t.dtype.kind != intKind {
			i := t.info(name)
			return badTensor(name, i.Offset, i.Offset+i.SizeBytes, "want signed whole numbers as elements, got %s", t.dtype.name)
		}
		out = make([]int64, t.shape.Elems())
		return t.each(func(i, at int) error {
			out[i] = t.dtype.int64At(b[at*t.dtype.size:], t.src.order)
			return nil
		})
	})
	return out, err
}

// Float64s reads a tensor of floating-point or integer elements, row-major. Unlike [File.Tensor] it accepts NaN and
// infinities: it is meant for expected results, which may hold them.
//
// # Errors
//
// A [*FormatError] when the elements are of another type or an integer is not below 2^53, from where on float64 has
// gaps; an error when the
// file has no such tensor; [ErrClosed].
func (f *File) Float64s(name string) ([]float64, error) {
	var out []float64
	err := f.withTensor(name, func(t *tensor, b []byte) error {
		if !t.dtype.isFloat() && !t.dtype.isInt() {
			i := t.info(name)
			return badTensor(name, i.Offset, i.Offset+i.SizeBytes, "want floating-point or integer elements, got %s", t.dtype.name)
		}
		out = make([]float64, t.shape.Elems())
		return t.each(func(i, at int) error {
			out[i] = t.dtype.float64At(b[at*t.dtype.size:], t.src.order)
			if t.dtype.isInt() && math.Abs(out[i]) >= 1<<53 { // 2^53+1 becomes 2^53 as well
				return t.notFinite(name, i, at, out[i], "an integer below 2^53")
			}
			return nil
		})
	})
	return out, err
}

// withTensor calls use with the tensor and the bytes of its storage, with the file kept open meanwhile.
func (f *File) withTensor(name string, use func(*tensor, []byte) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if !f.open {
		return fmt.Errorf("read weights %q: tensor %s: %w", f.name, quote(name), ErrClosed)
	}
	t, ok := f.tensors[name]
	if !ok {
		if why, refused := f.refused[name]; refused {
			return f.fail(badTensor(name, 0, 0, "want a tensor, got %s", why))
		}
		return fmt.Errorf("read weights %q: no tensor %s", f.name, quote(name))
	}
	err := guard(func() error {
		m := f.mapped
		if t.src.in != nil {
			m = t.src.in
		}
		if m != nil {
			if err := m.check(); err != nil {
				return err
			}
			if t.src.at >= 0 {
				defer m.forget(int(t.src.at), int(t.src.at+t.src.size))
			}
		}
		b, err := t.src.bytes()
		if err != nil {
			return err
		}
		return use(t, b)
	})
	if err != nil {
		err = f.fail(err)
		if fe, ok := err.(*FormatError); ok {
			if fe.Tensor == "" {
				fe.Tensor = name
			}
			if t.src.in != nil {
				fe.File = t.src.in.path
			}
		}
	}
	return err
}

// storage is a run of elements in the file.
type storage struct {
	at    int64    // first byte in the file, -1 when compressed
	in    *mapping // the file beside the weights file, nil for that itself
	size  int64    // in bytes
	order binary.ByteOrder
	load  func() ([]byte, error) // checks and returns the bytes
}

func (s *storage) bytes() ([]byte, error) { return s.load() }

// where names the storage's place, for errors.
func (s *storage) where() string {
	if s.at < 0 {
		return "compressed"
	}
	return fmt.Sprintf("bytes %d..%d", s.at, s.at+s.size)
}
