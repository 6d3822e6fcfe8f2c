package onnx

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
	"github.com/resnet-run/resnet-run/graph/weights"
)

// Error says what is in the way of a network of an ONNX file.
type Error struct {
	File string
	Node string // its name in the file, or that of its result; empty when the problem is not about one
	Op   string // the operator of the node, for example "Conv"
	Err  error  // what was wanted and what was found
}

// Error returns `import ONNX "a.onnx": node "conv1" (Conv): ...`.
func (e *Error) Error() string {
	if e.Node == "" {
		return fmt.Sprintf("import ONNX %q: %v", e.File, e.Err)
	}
	return fmt.Sprintf("import ONNX %q: node %s (%.40s): %v", e.File, quote(e.Node), e.Op, e.Err)
}

// Unwrap returns the cause, for example a *[graph.ShapeError].
func (e *Error) Unwrap() error { return e.Err }

// quote quotes text that a stranger wrote, cut to a length that people can read.
func quote(s string) string {
	if len(s) > 120 {
		return fmt.Sprintf("%q... (%d bytes)", s[:120], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// Network is the network of an ONNX file. Its methods may be called by several goroutines at once.
type Network struct {
	file    *weights.File
	model   *proto.Model
	input   proto.Port
	outputs map[string]bool
	nodes   []*proto.Node            // those that an output needs, in order
	readers map[string][]*proto.Node // of each value, among nodes
	// channelsLast says that the file's input is [N,H,W,C].
	channelsLast bool

	mu      sync.Mutex
	tensors map[key]*graph.Tensor // one of each for all graphs, so that backends know it again
}

// New looks at the network of an open ONNX file, which must stay open for as long as graphs of it are compiled.
//
// Errors: an [*Error] when the file is of another format, has not one picture as its input, or has operators that are not
// read; all of these are named.
func New(f *weights.File) (*Network, error) {
	n := &Network{file: f, model: f.ONNX(), outputs: map[string]bool{}, readers: map[string][]*proto.Node{}, tensors: map[key]*graph.Tensor{}}
	if n.model == nil {
		return nil, n.fail(nil, fmt.Errorf("want an ONNX file, got %s", f.Format()))
	}
	for _, step := range []func() error{n.findInput, n.findNodes, n.checkOps, n.findLayout} {
		if err := step(); err != nil {
			return nil, n.fail(nil, err)
		}
	}
	return n, nil
}

// fail puts the file's name, and a node's when there is one, to an error.
func (n *Network) fail(node *proto.Node, err error) error {
	var done *Error
	if errors.As(err, &done) {
		return err
	}
	e := &Error{File: n.file.Name(), Err: err}
	if node != nil {
		e.Node, e.Op = nodeName(node), node.Op
	}
	return e
}

// nodeName is what a node is called: exporters leave the name out at times, and results have one always.
func nodeName(n *proto.Node) string {
	if n.Name != "" || len(n.Outputs) == 0 {
		return n.Name
	}
	return n.Outputs[0]
}

// findInput finds the one input that is no parameter.
func (n *Network) findInput() error {
	var names []string
	for _, p := range n.model.Graph.Inputs {
		if _, parameter := n.file.Info(p.Name); !parameter {
			names = append(names, p.Name)
			n.input = p
		}
	}
	if len(names) != 1 {
		return fmt.Errorf("inputs: want one picture, got %d: %s", len(names), list(names))
	}
	p := n.input
	if !p.Known || len(p.Dims) != 4 {
		return fmt.Errorf("input %s: want 4 dimensions, got %d", quote(p.Name), p.Dims)
	}
	if !isFloat(p.DType) {
		return fmt.Errorf("input %s: want floating-point elements, got %v", quote(p.Name), p.DType)
	}
	return nil
}

func isFloat(d proto.DType) bool {
	return slices.Contains([]proto.DType{proto.Float, proto.Float16, proto.BFloat16, proto.Double}, d)
}

// findNodes keeps the nodes that the outputs depend on.
func (n *Network) findNodes() error {
	g := &n.model.Graph
	if len(g.Outputs) == 0 {
		return errors.New("outputs: want at least one, got none")
	}
	needed := map[string]bool{}
	for _, o := range g.Outputs {
		needed[o.Name], n.outputs[o.Name] = true, true
	}
	for i := len(g.Nodes) - 1; i >= 0; i-- { // a node stands before those that read it
		node := &g.Nodes[i]
		if !slices.ContainsFunc(node.Outputs, func(o string) bool { return o != "" && needed[o] }) {
			continue
		}
		n.nodes = append(n.nodes, node)
		for _, in := range node.Inputs {
			needed[in] = true
		}
	}
	slices.Reverse(n.nodes)
	made := map[string]bool{n.input.Name: true}
	for _, node := range n.nodes {
		for _, out := range node.Outputs {
			if _, parameter := n.file.Info(out); out != "" && (made[out] || parameter && node.Op != "Constant") {
				return n.fail(node, fmt.Errorf("result %s: want a name of its own, got one that something else has", quote(out)))
			}
			made[out] = true
		}
		for _, in := range node.Inputs {
			n.readers[in] = append(n.readers[in], node)
		}
	}
	return nil
}

// checkOps names all operators at once that are not read.
func (n *Network) checkOps() error {
	unknown := map[string]int{}
	for _, node := range n.nodes {
		if node.Domain != "" {
			unknown[fmt.Sprintf("%.60s of the domain %.60s", node.Op, node.Domain)]++
		} else if importers[node.Op] == nil {
			unknown[fmt.Sprintf("%.60s", node.Op)]++
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	var found []string
	for op, count := range unknown {
		found = append(found, fmt.Sprintf("%s (%d×)", op, count))
	}
	sort.Strings(found)
	return fmt.Errorf("operators: want those that resnet-run knows, got also %s", strings.Join(found[:min(len(found), 20)], ", "))
}

// Input returns the extent of the picture that the file says: 0 for what it leaves open.
func (n *Network) Input() (channels, height, width int) {
	d := n.input.Dims
	if n.channelsLast {
		return clamp(d[3]), clamp(d[1]), clamp(d[2])
	}
	return clamp(d[1]), clamp(d[2]), clamp(d[3])
}

// clamp makes an int of a dimension; one that is too large for a shape stays too large.
func clamp(d int64) int { return int(min(d, graph.MaxElems)) }

// Producer names the program that wrote the file, for people: "pytorch 2.9.1". It is empty when the file says nothing.
func (n *Network) Producer() string {
	return strings.TrimSpace(n.model.Producer + " " + n.model.ProducerVersion)
}

// Stride returns the stride of the first convolution that reads the picture, 0 when there is none: networks for small
// pictures begin with 1, those for ImageNet with 2.
func (n *Network) Stride() int {
	for _, node := range n.nodes {
		if node.Op != "Conv" {
			continue
		}
		if a := node.Attr("strides"); a != nil && len(a.Ints) > 0 {
			return clamp(a.Ints[0])
		}
		return 1
	}
	return 0
}

// keep returns the tensor that make makes, or the one that it made before for k.
func (n *Network) keep(k key, make func() (*graph.Tensor, error)) (*graph.Tensor, error) {
	n.mu.Lock()
	t := n.tensors[k]
	n.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t, err := make()
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if before := n.tensors[k]; before != nil {
		return before, nil
	}
	n.tensors[k] = t
	return t, nil
}

// list quotes names, not too many of them.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	var quoted []string
	for _, s := range names[:min(len(names), 8)] {
		quoted = append(quoted, quote(s))
	}
	if len(names) > 8 {
		quoted = append(quoted, "...")
	}
	return strings.Join(quoted, ", ")
}
