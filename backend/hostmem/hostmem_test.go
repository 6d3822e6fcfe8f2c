package hostmem

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

func TestBindHoldsBuffersAgainstTheSignature(t *testing.T) {
	var mine, other Owner
	make := func(o *Owner, n int) *Buffer {
		b, err := o.NewBuffer(t.Context(), graph.F32(n))
		if err != nil {
			t.Fatal(err)
		}
		return b.(*Buffer)
	}
	x, y, closed := make(&mine, 3), make(&mine, 5), make(&mine, 3)
	closed.Close()
	sig := graph.Signature{Inputs: []graph.Port{{Name: "x", Type: graph.F32(3)}}, Outputs: []graph.Port{{Name: "y", Type: graph.F32(5)}}}
	var in, out [1]View
	bind := func(x, y *Buffer) error {
		return mine.Bind(sig, in[:], out[:], []backend.Buffer{x}, []backend.Buffer{y})
	}
	if err := bind(x, y); err != nil || len(in[0].Data) != 3 || len(out[0].Data) != 5 {
		t.Fatalf("got %v, %d and %d elements", err, len(in[0].Data), len(out[0].Data))
	}
	if n := testing.AllocsPerRun(10, func() { _ = bind(x, y) }); n > 2 { // the two lists of the caller
		t.Errorf("%g allocations", n)
	}
	y.Close() // the view outlives it
	out[0].Data[4] = 1
	if err := bind(closed, y); !errors.Is(err, backend.ErrClosed) || !strings.Contains(err.Error(), `input 0 ("x")`) {
		t.Errorf("closed: got %v", err)
	}
	for _, wrong := range []*Buffer{nil, make(&other, 3), make(&mine, 4)} {
		if shape := new(graph.ShapeError); !errors.As(bind(wrong, y), &shape) {
			t.Errorf("%+v was taken", wrong)
		}
	}
}

func TestTransfersCheckLengthAndOwner(t *testing.T) {
	o := Owner{MaxBytes: 8}
	b, err := o.NewBuffer(t.Context(), graph.F32(2))
	if err != nil {
		t.Fatal(err)
	}
	want, got := []byte{0, 0, 128, 63, 0, 0, 192, 127}, make([]byte, 8) // 1 and a NaN
	if err := errors.Join(b.Write(t.Context(), want), b.Read(t.Context(), got)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if shape := new(graph.ShapeError); !errors.As(b.Write(t.Context(), want[1:]), &shape) {
		t.Error("seven bytes were taken for two elements")
	}
	if _, err := o.NewBuffer(t.Context(), graph.F32(3)); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("beyond the limit: got %v", err)
	}
	o.Close()
	if err := b.Read(t.Context(), got); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("after the owner's end: got %v", err)
	}
}

// TestBytesInEitherOrder: the copy and the loop for machines of the other byte order do the same, and no bit pattern is special.
func TestBytesInEitherOrder(t *testing.T) {
	if !native {
		t.Skip("this machine has the other order: the copy would be wrong here")
	}
	src := []byte{0, 0, 128, 63, 1, 0, 160, 127, 255, 255, 255, 255, 1, 0, 0, 128} // 1, a signalling NaN, a quiet one, the least negative
	for _, native := range []bool{false, true} {
		v, got := make([]float32, 4), make([]byte, 16)
		load(v, src, native)
		store(got, v, native)
		if v[0] != 1 || !bytes.Equal(got, src) {
			t.Errorf("native %v: got %v and %v, want %v", native, v, got, src)
		}
	}
	load(nil, nil, true)
	store(nil, nil, true)
}
