package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// fp32 is the protocol's name of the only type of elements here.
const fp32 = "FP32"

// headerLength is the header with the number of bytes of JSON before binary tensors.
const headerLength = "Inference-Header-Content-Length"

// tensor is one of the protocol's tensors.
type tensor struct {
	Name       string     `json:"name"`
	Shape      extents    `json:"shape"`
	DataType   string     `json:"datatype"`
	Parameters parameters `json:"parameters,omitzero"`
	Data       numbers    `json:"data,omitempty"`
}

// parameters are those of the extension for binary tensors, and one of another extension that is not here.
type parameters struct {
	Size           *int  `json:"binary_data_size,omitempty"`
	Binary         *bool `json:"binary_data,omitempty"`
	Classification *int  `json:"classification,omitempty"`
}

// Lists are no longer than anybody needs: small things in JSON may be large in memory.
const (
	maxTensors    = 16
	maxDimensions = 8
)

// tensors is a short list.
type tensors []tensor

// UnmarshalJSON reads no more of a list than a request may have.
func (l *tensors) UnmarshalJSON(data []byte) error {
	*l = nil // of a name that is there twice the last counts
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		if t == nil {
			return err // null is no list, and no error
		}
		return fmt.Errorf("want a list of tensors, got %.40q", data)
	}
	for d.More() {
		if len(*l) == maxTensors {
			return fmt.Errorf("want at most %d tensors, got more", maxTensors)
		}
		var t tensor
		if err := d.Decode(&t); err != nil {
			return err
		}
		*l = append(*l, t)
	}
	return nil
}

// extents is a shape.
type extents []int

// UnmarshalJSON reads no more dimensions than anything here has.
func (e *extents) UnmarshalJSON(data []byte) error {
	if n := bytes.Count(data, []byte(",")) + 1; n > maxDimensions {
		return fmt.Errorf("shape: want at most %d dimensions, got %d", maxDimensions, n)
	}
	return json.Unmarshal(data, (*[]int)(e))
}

// inferRequest is what is asked.
type inferRequest struct {
	ID         string  `json:"id"`
	Inputs     tensors `json:"inputs"`
	Outputs    tensors `json:"outputs"` // name and parameters
	Parameters struct {
		Binary bool `json:"binary_data_output"`
	} `json:"parameters"`
}

// inferResponse is what is answered.
type inferResponse struct {
	Model   string  `json:"model_name"`
	Version string  `json:"model_version"`
	ID      string  `json:"id,omitempty"`
	Outputs tensors `json:"outputs"`
}

// numbers are a tensor's elements: in JSON numbers in arrays, nested or not.
type numbers []float32

// UnmarshalJSON reads arrays of numbers of any depth, row by row.
func (n *numbers) UnmarshalJSON(data []byte) error {
	*n = make(numbers, 0, bytes.Count(data, []byte(","))+1)
	for len(data) > 0 {
		switch c := data[0]; {
		case isBetween(c):
			data = data[1:]
		case c == '-' || c >= '0' && c <= '9':
			end := 1
			for end < len(data) && !isBetween(data[end]) {
				end++
			}
			v, err := strconv.ParseFloat(string(data[:end]), 32)
			if err != nil {
				return fmt.Errorf("data: want a float32, got %.40q", data[:end])
			}
			*n, data = append(*n, float32(v)), data[end:]
		default:
			return fmt.Errorf("data: want numbers in arrays, got %.40q", data)
		}
	}
	return nil
}

// isBetween reports whether c stands between numbers. Where which of them may stand, the JSON decoder has seen to.
func isBetween(c byte) bool {
	return c == '[' || c == ']' || c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r'
}

// portMetadata describes an input or an output; -1 is the batch.
func portMetadata(p graph.Port) map[string]any {
	shape := append([]int{-1}, p.Type.Shape.Dims()[1:]...)
	return map[string]any{"name": p.Name, "datatype": fp32, "shape": shape}
}

func (s *Server) serverMetadata(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, map[string]any{"name": "resnet-run", "version": s.version, "extensions": []string{"binary_tensor_data"}})
}

func (s *Server) modelMetadata(w http.ResponseWriter, r *http.Request) {
	n, err := s.network(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var outputs []any
	for _, o := range n.Outputs {
		outputs = append(outputs, portMetadata(o))
	}
	s.answer(w, http.StatusOK, map[string]any{
		"name": n.Name, "versions": []string{modelVersion}, "platform": "resnet-run_" + n.Device.Backend,
		"inputs": []any{portMetadata(n.Input)}, "outputs": outputs,
	})
}

func (s *Server) serverReady(w http.ResponseWriter, r *http.Request) {
	if !s.ready.Load() {
		s.fail(w, r, fault(http.StatusServiceUnavailable, "not ready"))
		return
	}
	s.answer(w, http.StatusOK, map[string]bool{"ready": true})
}

func (s *Server) modelReady(w http.ResponseWriter, r *http.Request) {
	if _, err := s.network(r); err != nil {
		s.fail(w, r, err)
		return
	}
	s.serverReady(w, r)
}

// infer runs the tensors of a request.
func (s *Server) infer(w http.ResponseWriter, r *http.Request) {
	n, err := s.network(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	free, err := s.body(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer free()
	req, err := readInfer(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	x, err := n.input(req, s.limits.Queue)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ports, binary, err := n.wanted(req)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	all, err := n.runAll(r, x)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	res := inferResponse{Model: n.Name, Version: modelVersion, ID: req.ID}
	for _, i := range ports {
		shape := append([]int{len(x)}, n.Outputs[i].Type.Shape.Dims()[1:]...)
		res.Outputs = append(res.Outputs, tensor{Name: n.Outputs[i].Name, Shape: shape, DataType: fp32, Data: all[i]})
	}
	s.answerInfer(w, res, binary)
}

// readInfer reads a request, and the elements of its inputs, of which JSON holds all or those that have no size in bytes.
func readInfer(r *http.Request) (*inferRequest, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, unreadable(err)
	}
	text, rest := body, []byte(nil)
	if length := r.Header.Get(headerLength); length != "" {
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 || n > len(body) {
			return nil, fault(http.StatusBadRequest, "%s: want 0 to %d, the length of the body, got %.40q", headerLength, len(body), length)
		}
		text, rest = body[:n], body[n:]
	} else if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "application/octet-stream" {
		return nil, fault(http.StatusBadRequest, "want a header %s with binary tensors, got none", headerLength)
	}
	req := &inferRequest{}
	if err := json.Unmarshal(text, req); err != nil {
		return nil, fault(http.StatusBadRequest, "read request: %w", err)
	}
	for i := range req.Inputs {
		t := &req.Inputs[i]
		size := t.Parameters.Size
		if size == nil {
			continue
		}
		if *size < 0 || *size > len(rest) || *size%4 != 0 || t.Data != nil {
			return nil, fault(http.StatusBadRequest, "input %.80q: binary_data_size: want a multiple of 4, at most the %d bytes that are left, and no data, got %d", t.Name, len(rest), *size)
		}
		x := graph.Tensor{Type: graph.F32(*size / 4), Data: rest[:*size]} // little-endian, as the extension has it
		t.Data, rest = x.Float32s(), rest[*size:]
	}
	if len(rest) > 0 {
		return nil, fault(http.StatusBadRequest, "read request: %d bytes are left behind the inputs", len(rest))
	}
	return req, nil
}

// input returns the pictures of a request.
func (n *network) input(req *inferRequest, most int) ([][]float32, error) {
	want := n.Input.Type.Shape.Dims()[1:]
	if len(req.Inputs) != 1 {
		return nil, fault(http.StatusBadRequest, "inputs: want one, %q, got %d", n.Input.Name, len(req.Inputs))
	}
	t := req.Inputs[0]
	switch {
	case t.Name != n.Input.Name:
		return nil, fault(http.StatusBadRequest, "inputs: want %q, got %.80q", n.Input.Name, t.Name)
	case t.DataType != fp32:
		return nil, fault(http.StatusBadRequest, "input %q: datatype: want %s, got %.40q", t.Name, fp32, t.DataType)
	case len(t.Shape) != 4 || !slices.Equal(t.Shape[1:], want) || t.Shape[0] < 1:
		return nil, fault(http.StatusBadRequest, "input %q: shape: want [N,%s] with N from 1, got %s", t.Name, ints(want), ints(t.Shape))
	case t.Shape[0] > most:
		return nil, fault(http.StatusRequestEntityTooLarge, "input %q: shape: want at most %d pictures, got %d", t.Name, most, t.Shape[0])
	}
	elems := n.Runner.Elems()
	if len(t.Data) != t.Shape[0]*elems {
		return nil, fault(http.StatusBadRequest, "input %q: data: want %d numbers for %s, got %d", t.Name, t.Shape[0]*elems, ints(t.Shape), len(t.Data))
	}
	pictures := make([][]float32, t.Shape[0])
	for i := range pictures {
		pictures[i] = t.Data[i*elems : (i+1)*elems]
	}
	return pictures, nil
}

func ints(list []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]")
}

// wanted are the outputs that are asked for, all when none are named, and which of them as binary.
func (n *network) wanted(req *inferRequest) (ports []int, binary []bool, err error) {
	if len(req.Outputs) == 0 {
		for i := range n.Outputs {
			ports, binary = append(ports, i), append(binary, req.Parameters.Binary)
		}
		return ports, binary, nil
	}
	for _, o := range req.Outputs {
		i := slices.IndexFunc(n.Outputs, func(p graph.Port) bool { return p.Name == o.Name })
		if i < 0 || slices.Contains(ports, i) {
			return nil, nil, fault(http.StatusBadRequest, "outputs: want each of %v at most once, got %.80q", portNames(n.Outputs), o.Name)
		}
		if o.Parameters.Classification != nil {
			return nil, nil, fault(http.StatusBadRequest, "output %q: classification is an extension that is not here: POST pictures to /classify for names", o.Name)
		}
		isBinary := req.Parameters.Binary
		if o.Parameters.Binary != nil {
			isBinary = *o.Parameters.Binary
		}
		ports, binary = append(ports, i), append(binary, isBinary)
	}
	return ports, binary, nil
}

func portNames(list []graph.Port) []string {
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	return names
}

// runAll runs pictures through the batches and returns every output of all of them.
func (n *network) runAll(r *http.Request, pictures [][]float32) ([]numbers, error) {
	if err := n.batches.reserve(len(pictures)); err != nil {
		return nil, err
	}
	tickets := make([]*ticket, len(pictures))
	for i, p := range pictures {
		tickets[i] = n.batches.enqueue(r.Context(), p)
	}
	all := make([]numbers, len(n.Outputs))
	failures := make([]error, len(tickets))
	for k, t := range tickets { // also after an error: the pictures are counted
		outputs, err := n.batches.wait(t)
		n.seen.count(err)
		failures[k] = err
		for i, o := range outputs {
			all[i] = append(all[i], o...)
		}
	}
	return all, first(failures)
}

// answerInfer writes a response, with the outputs that binary says behind the JSON.
func (s *Server) answerInfer(w http.ResponseWriter, res inferResponse, binary []bool) {
	var tail []byte
	for i := range res.Outputs {
		t := &res.Outputs[i]
		if slices.ContainsFunc(t.Data, func(v float32) bool { return v-v != 0 }) && !binary[i] {
			s.answer(w, http.StatusInternalServerError, map[string]string{"error": fmt.Sprintf("output %q has numbers that are not finite, which JSON has not: ask for binary_data", t.Name)})
			return
		}
		if !binary[i] {
			continue
		}
		size := 4 * len(t.Data)
		x, err := graph.FromFloat32s(graph.NewShape(len(t.Data)), t.Data)
		if err != nil { // ours: the shape is that of the data
			s.answer(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
			return
		}
		tail = append(tail, x.Data...)
		t.Data, t.Parameters.Size = nil, &size
	}
	if tail == nil {
		s.answer(w, http.StatusOK, res)
		return
	}
	text, err := json.Marshal(res)
	if err != nil {
		s.answer(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set(headerLength, strconv.Itoa(len(text)))
	h.Set("Content-Length", strconv.Itoa(len(text)+len(tail)))
	if _, err := w.Write(append(text, tail...)); err != nil {
		s.log.Debug("answer was not read", "error", err)
	}
}
