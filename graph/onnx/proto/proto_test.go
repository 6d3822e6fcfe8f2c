package proto_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph/onnx/proto"
	pt "github.com/resnet-run/resnet-run/graph/onnx/proto/prototest"
)

// Elements are the same whichever of the fields has them, and lie in the file where they can.
func TestTensorElements(t *testing.T) {
	floats := pt.Floats(1.5, -2)
	for _, test := range []struct {
		name   string
		dtype  proto.DType
		fields []byte
		want   []byte
		inFile bool
	}{
		{"raw", proto.Float, pt.Raw(floats), floats, true},
		{"float_data, packed", proto.Float, pt.Bytes(4, floats), floats, true},
		{"float_data, in two parts", proto.Float, append(pt.Bytes(4, floats[:4]), pt.Bytes(4, floats[4:])...), floats, false},
		{"float_data, one by one", proto.Float, append(pt.Float(4, 1.5), pt.Float(4, -2)...), floats, false},
		{"double_data", proto.Double, append(pt.Double(10, 1), pt.Double(10, 2)...), []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x40}, false},
		{"float16 in int32_data", proto.Float16, append(pt.Int(5, 0x3c00), pt.Int(5, 0xc000)...), []byte{0, 0x3c, 0, 0xc0}, false},
		{"int32_data, packed", proto.Int32, pt.Bytes(5, []byte{7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}), []byte{7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, false},
		{"int64_data", proto.Int64, append(pt.Int(7, 3), pt.Int(7, -1)...), pt.Int64s(3, -1), false},
		{"bool", proto.Bool, append(pt.Int(5, 1), pt.Int(5, 0)...), []byte{1, 0}, false},
		{"strings", proto.String, append(pt.Text(6, "a"), pt.Text(6, "b")...), nil, false},
	} {
		data := pt.Tensor("w", test.dtype, []int64{2}, test.fields)
		got, err := proto.ReadTensor(data)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got.Name != "w" || got.DType != test.dtype || !reflect.DeepEqual(got.Dims, []int64{2}) || !bytes.Equal(got.Data, test.want) {
			t.Errorf("%s: got %+v, want %v", test.name, got, test.want)
		}
		if inFile := got.At >= 0; inFile != test.inFile {
			t.Errorf("%s: got the elements at %d, want them in the file: %v", test.name, got.At, test.inFile)
		} else if inFile && !bytes.Equal(data[got.At:][:len(test.want)], test.want) {
			t.Errorf("%s: the elements are not at %d", test.name, got.At)
		}
	}
}

func TestModel(t *testing.T) {
	m, err := proto.ReadModel(append(pt.Model(13,
		pt.Node("Conv", []string{"x", "w", ""}, []string{"y"}, pt.AttrInts("pads", 1, -2), pt.AttrText("auto_pad", "VALID"), pt.AttrFloat("f", 0.5), pt.AttrInt("group", 4)),
		pt.Initializer(pt.Tensor("w", proto.Float, []int64{1}, pt.Raw(pt.Floats(3)))),
		pt.Input("x", 0, 3, 8, 9), pt.Output("y", 1), pt.Text(2, "net"),
	), pt.Bytes(14, pt.Text(1, "k"), pt.Text(2, "v"))...))
	if err != nil {
		t.Fatal(err)
	}
	n := m.Graph.Nodes[0]
	if m.IRVersion != 8 || m.Producer != "test" || m.Opsets[""] != 13 || m.Metadata["k"] != "v" || m.Graph.Name != "net" ||
		n.Op != "Conv" || !reflect.DeepEqual(n.Inputs, []string{"x", "w", ""}) || !reflect.DeepEqual(n.Outputs, []string{"y"}) {
		t.Errorf("got %+v", m)
	}
	if n.Attr("group").Int != 4 || n.Attr("f").Float != 0.5 || n.Attr("auto_pad").String != "VALID" || !reflect.DeepEqual(n.Attr("pads").Ints, []int64{1, -2}) || n.Attr("none") != nil {
		t.Errorf("got attributes %+v", n.Attrs)
	}
	if in := m.Graph.Inputs[0]; in.Name != "x" || in.DType != proto.Float || !in.Known || !reflect.DeepEqual(in.Dims, []int64{0, 3, 8, 9}) {
		t.Errorf("got input %+v", in)
	}
	if len(m.Graph.Tensors) != 1 || len(m.Graph.Outputs) != 1 {
		t.Errorf("got %d tensors and %d outputs", len(m.Graph.Tensors), len(m.Graph.Outputs))
	}
}

// What is written is read again, whatever the tensors have their elements in.
func TestWrite(t *testing.T) {
	m := &proto.Model{IRVersion: 7, Producer: "p", ProducerVersion: "1", Opsets: map[string]int64{"": 13, "other": 2}, Metadata: map[string]string{"k": "v", "a": ""},
		Graph: proto.Graph{Name: "net",
			Nodes: []proto.Node{{Name: "n", Op: "Conv", Domain: "d", Inputs: []string{"x", "", "w"}, Outputs: []string{"y"}, Attrs: []proto.Attr{
				{Name: "f", Type: proto.AttrFloat, Float: -0.5}, {Name: "i", Type: proto.AttrInt, Int: -3}, {Name: "s", Type: proto.AttrString, String: "same"},
				{Name: "l", Type: proto.AttrInts, Ints: []int64{1, -1, 1 << 40}}}}},
			Tensors: []proto.Tensor{
				{Name: "w", DType: proto.Float, Dims: []int64{2, 1}},
				{Name: "n", DType: proto.Int64, Dims: []int64{2}, Data: pt.Int64s(7, -7)},
				{Name: "e", DType: proto.Float, Dims: []int64{1000}, External: map[string]string{"location": "there", "offset": "0", "length": "4000"}},
				{Name: "s", DType: proto.Float, Data: pt.Floats(3)},
			},
			Inputs:  []proto.Port{{Name: "x", DType: proto.Float, Dims: []int64{0, 3}, Known: true}},
			Outputs: []proto.Port{{Name: "y", DType: proto.Float}},
		}}
	var b bytes.Buffer
	asked := []int{}
	if err := m.Write(&b, func(i int) ([]byte, error) { asked = append(asked, i); return pt.Floats(1, 2), nil }); err != nil {
		t.Fatal(err)
	}
	if size, err := m.Size(); err != nil || size != int64(b.Len()) {
		t.Errorf("got a size of %d, %v, want the %d bytes that were written", size, err, b.Len())
	}
	got, err := proto.ReadModel(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	m.Graph.Tensors[0].Data = pt.Floats(1, 2)
	for i := range m.Graph.Tensors { // where they stand is known to the reader alone
		m.Graph.Tensors[i].At, m.Graph.Tensors[i].Pos = got.Graph.Tensors[i].At, got.Graph.Tensors[i].Pos
	}
	if !reflect.DeepEqual(got, m) || !reflect.DeepEqual(asked, []int{0}) {
		t.Errorf("got\n%+v\nwant\n%+v\nasked for %v", got, m, asked)
	}
	fail := errors.New("no elements")
	if err := m.Write(io.Discard, nil); err != nil {
		t.Error(err)
	}
	m.Graph.Tensors[0].Data = nil
	if err := m.Write(io.Discard, func(int) ([]byte, error) { return nil, fail }); !errors.Is(err, fail) {
		t.Errorf("got %v", err)
	}
	if err := m.Write(io.Discard, func(int) ([]byte, error) { return []byte{1}, nil }); err == nil || !strings.Contains(err.Error(), `tensor "w": want 8 bytes of elements, got 1`) {
		t.Errorf("got %v", err)
	}
	m.Graph.Tensors[1].DType = proto.String
	if _, err := m.Size(); err == nil || !strings.Contains(err.Error(), `tensor "n": want numbers, got elements of string`) {
		t.Errorf("got %v", err)
	}
}

func TestBadMessages(t *testing.T) {
	tensor := func(dims []int64, fields ...[]byte) []byte {
		return pt.Model(13, pt.Initializer(pt.Tensor("w", proto.Float, dims, fields...)))
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"empty":            {nil, "want a graph"},
		"no graph":         {pt.Int(1, 8), "want a graph"},
		"two graphs":       {append(pt.Bytes(7), pt.Bytes(7)...), "several"},
		"cut":              {pt.Model(13, pt.Text(2, "a name"))[:12], "unexpected EOF"},
		"wire type":        {pt.Text(1, "8"), "field 1: want another wire type"},
		"too few":          {tensor([]int64{2}, pt.Raw(pt.Floats(1))), "want 2 elements of float32"},
		"too many":         {tensor(nil, pt.Raw(pt.Floats(1, 2))), "want 1 elements of float32"},
		"no elements":      {tensor([]int64{1}), "want 1 elements"},
		"negative":         {tensor([]int64{-1}, pt.Raw(nil)), "dimensions"},
		"overflow":         {tensor([]int64{1 << 40, 1 << 40}, pt.Raw(nil)), "dimensions"},
		"overflow, empty":  {tensor([]int64{1 << 40, 1 << 40, 0}, pt.Raw(nil)), "dimensions"},
		"halves of floats": {tensor([]int64{1}, pt.Bytes(4, []byte{1, 2})), "numbers of 4 bytes"},
		"doubles":          {tensor([]int64{1}, pt.Double(10, 1)), "want elements of float32"},
		"varint":           {append(pt.Bytes(7), 0x08, 0xff), "unexpected EOF"},
		"nodes":            {pt.Model(13, bytes.Repeat(pt.Bytes(1), 1<<17+1)), "at most 131072 nodes"},
		"attributes":       {pt.Model(13, pt.Bytes(1, bytes.Repeat(pt.Bytes(5), 1<<18+1))), "at most 262144"},
		"initializers":     {pt.Model(13, bytes.Repeat(pt.Bytes(5, pt.Int(1, 0), pt.Int(2, 1)), 1<<18)), "at most 262144"},
	} {
		_, err := proto.ReadModel(test.data)
		var pe *proto.Error
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an *Error with %q", name, err, test.want)
		}
	}
}

func FuzzReadModel(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "*.onnx"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 16<<10 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := proto.ReadModel(data)
		if err != nil {
			var pe *proto.Error
			if !errors.As(err, &pe) || pe.Start < 0 || pe.Start > int64(len(data)) || pe.End <= pe.Start {
				t.Fatalf("got %#v, want an *Error about bytes of the file", err)
			}
			return
		}
		for _, x := range m.Graph.Tensors {
			n, err := x.Elems()
			if x.Data != nil && (err != nil || n*x.DType.Size() != len(x.Data)) {
				t.Fatalf("%q: %d bytes for %d elements of %v: %v", x.Name, len(x.Data), n, x.DType, err)
			}
		}
	})
}
