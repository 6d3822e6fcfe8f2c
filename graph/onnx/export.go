package onnx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// What [Export] writes: the operators of opset 13, after which none changed that a network here is made of, in the format of the
// release that had it (ONNX 1.8).
const (
	exportOpset     = 13
	exportIRVersion = 7
)

// Tensors of external data begin at multiples of this, so that they can be mapped; smaller ones than minExternal stay in the model.
// Source: ONNX, docs/ExternalData.md, and onnx.save_model.
const (
	externalAlign = 4096
	minExternal   = 1024
)

// ExportOptions are the choices of [Export]; the zero value is right for most graphs.
type ExportOptions struct {
	// DynamicBatch leaves the size of the batch open, under the name "N". Otherwise it is the graph's.
	DynamicBatch bool
	// Version is that of the program, which the file names as its producer beside "resnet-run".
	Version string
	// Metadata becomes the metadata_props of the model.
	Metadata map[string]string
	// External takes the elements of the parameters, all but the smallest, when it is not nil: a model of more than 2 GiB cannot have them
	// in itself. ExternalName is what that file will be called, in the folder of the model.
	External     io.Writer
	ExternalName string
}

// TooLargeError says that a model does not fit into one file.
type TooLargeError struct{ Size, Limit int64 } // in bytes

// Error returns the sizes and the way out.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("want a model of at most %d bytes, the most that a protocol buffer may have, got %d: its parameters have to be external data", e.Limit, e.Size)
}

// Export writes a graph whose parameters are bound as an ONNX model. Inputs, outputs, parameters and nodes keep their names; where a
// node takes several operators the last one has it, and the others have it with an ending. Parameters are read one at a time, when they
// are written, so that lazy ones are in memory one after the other.
//
// The pictures have the extent of the graph, which is fixed in the model. A number is computed as the ops of package graph say, but for
// what runtimes make of it: ONNX Runtime's MaxPool overlooks NaN.
//
// Errors: a parameter without data; elements other than float32; an epsilon that is none in float32; with DynamicBatch a graph that is
// made for one batch size; a *[TooLargeError] before anything is written; and those of the writers and of what is read for parameters.
func Export(w io.Writer, g *graph.Graph, opts ExportOptions) error {
	e := &exporter{g: g, names: map[string]bool{}, values: map[*graph.Value]string{}, params: map[shapedParam]string{},
		read: map[*graph.Value]bool{}, sources: map[int]*graph.Value{}, constants: map[string]string{}}
	if err := e.model(opts); err != nil {
		return fmt.Errorf("export ONNX: graph %q: %w", g.Name, err)
	}
	size, err := e.m.Size()
	if err == nil && size > proto.MaxSize {
		err = &TooLargeError{size, proto.MaxSize}
	}
	if err == nil && opts.External != nil {
		err = e.writeExternal(opts.External)
	}
	if err == nil {
		buffered := bufio.NewWriterSize(w, 1<<16)
		err = errors.Join(e.m.Write(buffered, e.elements), buffered.Flush())
	}
	if err != nil {
		return fmt.Errorf("export ONNX: graph %q: %w", g.Name, err)
	}
	return nil
}

// exporter makes one model.
type exporter struct {
	g         *graph.Graph
	m         proto.Model
	node      *graph.Node             // the one that is being written
	names     map[string]bool         // that are taken
	values    map[*graph.Value]string // what the values are called
	params    map[shapedParam]string  // the names of the tensors of parameters
	read      map[*graph.Value]bool   // the parameters among them
	sources   map[int]*graph.Value    // by the index of the tensor
	constants map[string]string       // the names of other tensors, by type and elements
}

// shapedParam is a parameter in a shape that an operator wants.
type shapedParam struct {
	v     *graph.Value
	shape graph.Shape
}

// model makes everything but the elements of parameters.
func (e *exporter) model(opts ExportOptions) error {
	if err := e.g.Validate(); err != nil {
		return err
	}
	if opts.External != nil && opts.ExternalName == "" {
		return errors.New("external data: want the name of its file, got none")
	}
	e.m = proto.Model{IRVersion: exportIRVersion, Producer: "resnet-run", ProducerVersion: opts.Version,
		Opsets: map[string]int64{"": exportOpset}, Metadata: opts.Metadata, Graph: proto.Graph{Name: e.g.Name}}
	for _, vs := range [][]*graph.Value{e.g.Inputs, e.g.Params} {
		for _, v := range vs {
			e.names[v.Name], e.values[v] = true, v.Name
		}
	}
	for _, n := range e.g.Nodes {
		e.names[n.Name], e.values[n.Output] = true, n.Name
	}
	open, err := e.openDims(opts.DynamicBatch)
	if err != nil {
		return err
	}
	for _, v := range e.g.Inputs {
		if v.Type.DType != graph.Float32 {
			return fmt.Errorf("input %q: want float32, got %v", v.Name, v.Type)
		}
		e.m.Graph.Inputs = append(e.m.Graph.Inputs, port(v.Name, v.Type, open))
	}
	for _, n := range e.g.Nodes {
		e.node = n
		if err := e.lower(n); err != nil {
			return fmt.Errorf("node %q (%s): %w", n.Name, n.Op.Name(), err)
		}
	}
	e.outputs(open)
	if opts.External != nil {
		e.placeExternal(opts.ExternalName)
	}
	return nil
}

// openDims reports whether the first dimension of every input and output is left open. A graph for any batch size has no other
// dimension that depends on it.
func (e *exporter) openDims(wanted bool) (bool, error) {
	if !wanted {
		return false, nil
	}
	for _, v := range e.g.Inputs {
		if v.Type.Shape.Rank() == 0 {
			return false, fmt.Errorf("dynamic batch: input %q: want a batch in dimension 0, got %v", v.Name, v.Type)
		}
	}
	batch := e.g.Inputs[0].Type.Shape.Dim(0) + 1
	other, err := e.g.WithBatch(batch)
	if err != nil {
		return false, fmt.Errorf("dynamic batch: want a graph for any batch size: %w", err)
	}
	for i, v := range e.g.Outputs {
		got, want := other.Outputs[i].Type.Shape, v.Type.Shape
		if want.Rank() == 0 || got != want.WithDim(0, batch) {
			return false, fmt.Errorf("dynamic batch: output %q: want the batch in dimension 0 alone, got %v, and %v for a batch of %d", v.Name, want, got, batch)
		}
	}
	return true, nil
}

// port describes an input or output; open leaves its first dimension open.
func port(name string, t graph.TensorType, open bool) proto.Port {
	p := proto.Port{Name: name, DType: proto.Float, Dims: int64s(t.Shape.Dims()...), Known: true}
	if open {
		p.Dims[0] = 0
	}
	return p
}

// outputs adds the outputs. One that is an input, or stands there already, needs a name of its own.
func (e *exporter) outputs(open bool) {
	seen := map[*graph.Value]bool{}
	for _, v := range e.g.Outputs {
		name := e.values[v]
		if v.Kind == graph.InputValue || seen[v] {
			name = e.name(v.Name + ".output")
			e.m.Graph.Nodes = append(e.m.Graph.Nodes, proto.Node{Name: name, Op: "Identity", Inputs: []string{v.Name}, Outputs: []string{name}})
		}
		seen[v] = true
		e.m.Graph.Outputs = append(e.m.Graph.Outputs, port(name, v.Type, open))
	}
}

// name returns a name that nothing else has.
func (e *exporter) name(want string) string {
	name := want
	for i := 2; e.names[name]; i++ {
		name = want + ":" + strconv.Itoa(i)
	}
	e.names[name] = true
	return name
}

// value returns the name of an input of the node. A parameter that has not been read yet becomes an initializer.
func (e *exporter) value(v *graph.Value) (string, error) { return e.shaped(v, v.Type.Shape) }

// shaped is [exporter.value] under another shape of the same elements.
func (e *exporter) shaped(v *graph.Value, s graph.Shape) (string, error) {
	if v.Kind != graph.ParamValue {
		if s == v.Type.Shape {
			return e.values[v], nil
		}
		return e.add("Reshape", v.Name+".shaped", []string{e.values[v], e.numbers(s.Dims()...)}), nil
	}
	if v.Type.DType != graph.Float32 || v.Data == nil {
		return "", fmt.Errorf("parameter %q: want float32 with its data, got %v, bound: %t", v.Name, v.Type, v.Data != nil)
	}
	key := shapedParam{v, s}
	if e.params[key] == "" {
		name := v.Name
		if e.read[v] { // in another shape
			name = e.name(v.Name)
		}
		e.params[key], e.read[v] = name, true
		e.sources[len(e.m.Graph.Tensors)] = v
		e.m.Graph.Tensors = append(e.m.Graph.Tensors, proto.Tensor{Name: name, DType: proto.Float, Dims: int64s(s.Dims()...)})
	}
	return e.params[key], nil
}

// elements reads the parameter that is the i-th tensor.
func (e *exporter) elements(i int) ([]byte, error) {
	v := e.sources[i]
	data, err := v.Data.Bytes()
	if err != nil {
		return nil, fmt.Errorf("read parameter %q: %w", v.Name, err)
	}
	return data, nil
}

// placeExternal says of the larger parameters where in the other file they are.
func (e *exporter) placeExternal(name string) {
	at := int64(0)
	for i := range e.m.Graph.Tensors {
		v := e.sources[i]
		if v == nil || v.Type.SizeBytes() < minExternal {
			continue
		}
		at = (at + externalAlign - 1) / externalAlign * externalAlign
		size := int64(v.Type.SizeBytes())
		e.m.Graph.Tensors[i].External = map[string]string{"location": name, "offset": strconv.FormatInt(at, 10), "length": strconv.FormatInt(size, 10)}
		at += size
	}
}

// writeExternal writes the parameters that placeExternal has placed.
func (e *exporter) writeExternal(w io.Writer) error {
	gap := make([]byte, externalAlign)
	at := 0
	for i := range e.m.Graph.Tensors {
		if e.m.Graph.Tensors[i].External == nil {
			continue
		}
		data, err := e.elements(i)
		if err != nil {
			return err
		}
		for _, part := range [][]byte{gap[:-at&(externalAlign-1)], data} {
			n, err := w.Write(part)
			if at += n; err != nil {
				return fmt.Errorf("external data: %w", err)
			}
		}
	}
	return nil
}

func int64s(list ...int) []int64 {
	out := make([]int64, len(list))
	for i, v := range list {
		out[i] = int64(v)
	}
	return out
}
