package serve

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// inferBody is a request in the protocol's JSON.
func inferBody(shape string, data any, more string) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return []byte(fmt.Sprintf(`{"id":"7","inputs":[{"name":"input","shape":%s,"datatype":"FP32","data":%s}]%s}`, shape, text, more))
}

// plain is a picture of one colour as the network's input [3,8,8].
func plain(colour int) []float32 {
	x := make([]float32, 192)
	for i := range x {
		x[i] = -1
		if i/64 == colour {
			x[i] = 1
		}
	}
	return x
}

func TestOpenInferenceProtocol(t *testing.T) {
	h := colours(t, usual)
	url := h.URL + "/v2/models/colour"
	for path, want := range map[string]string{
		"/v2":                          `{"extensions":["binary_tensor_data"],"name":"resnet-run","version":"v1"}`,
		"/v2/health/live":              `{"live":true}`,
		"/v2/health/ready":             `{"ready":true}`,
		"/v2/models/colour/ready":      `{"ready":true}`,
		"/v2/models/colour":            `{"inputs":[{"datatype":"FP32","name":"input","shape":[-1,3,8,8]}],"name":"colour","outputs":[{"datatype":"FP32","name":"fc","shape":[-1,3]}],"platform":"resnet-run_reference","versions":["1"]}`,
		"/v2/models/colour/versions/1": `"name":"colour"`,
	} {
		if a := send(t, "GET", h.URL+path, "", nil); a.code != http.StatusOK || !strings.Contains(a.body, want) || a.head.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %+v, want %s", path, a, want)
		}
	}
	for _, path := range []string{"/v2/models/x", "/v2/models/x/ready", "/v2/models/colour/versions/2", "/v3", "/classify/x"} {
		if a := send(t, "GET", h.URL+path, "", nil); a.code != http.StatusNotFound {
			t.Errorf("%s: got %+v", path, a)
		}
	}
	var flat []float32
	var nested [][][]float32
	for _, c := range []int{0, 2, 1, 0, 1} { // more than a batch
		flat = append(flat, plain(c)...)
		nested = append(nested, [][]float32{plain(c)[:100], plain(c)[100:]})
	}
	want := `{"model_name":"colour","model_version":"1","id":"7","outputs":[{"name":"fc","shape":[5,3],"datatype":"FP32","data":[4,0,0,0,0,4,0,4,0,4,0,0,0,4,0]}]}`
	for name, body := range map[string][]byte{
		"flat":                inferBody("[5,3,8,8]", flat, ""),
		"nested":              inferBody("[5,3,8,8]", nested, ""),
		"with a named output": inferBody("[5,3,8,8]", flat, `,"outputs":[{"name":"fc","parameters":{"binary_data":false}}],"parameters":{"binary_data_output":true}`),
		"what is not ours":    inferBody("[5,3,8,8]", flat, `,"parameters":{"priority":3},"more":[1]`),
	} {
		if a := send(t, "POST", url+"/infer", "application/json", body); a.code != http.StatusOK || strings.TrimSpace(a.body) != want {
			t.Errorf("%s: got %d %s", name, a.code, a.body)
		}
	}
	if a := send(t, "POST", url+"/versions/1/infer", "", inferBody("[1,3,8,8]", plain(0), "")); a.code != http.StatusOK {
		t.Errorf("with a version: got %+v", a)
	}
}

// binaryBody is a request whose tensor follows the JSON.
func binaryBody(head string, x []float32) (length string, body []byte) {
	body = []byte(head)
	for _, v := range x {
		body = binary.LittleEndian.AppendUint32(body, math.Float32bits(v))
	}
	return strconv.Itoa(len(head)), body
}

func TestBinaryTensors(t *testing.T) {
	h := colours(t, usual)
	const kind = "application/octet-stream"
	x := append(plain(1), plain(2)...)
	for i, head := range []string{
		`{"inputs":[{"name":"input","shape":[2,3,8,8],"datatype":"FP32","parameters":{"binary_data_size":1536}}],"outputs":[{"name":"fc","parameters":{"binary_data":true}}]}`,
		`{"inputs":[{"name":"input","shape":[2,3,8,8],"datatype":"FP32","parameters":{"binary_data_size":1536}}],"parameters":{"binary_data_output":true}} `, // any alignment
	} {
		length, body := binaryBody(head, x)
		a := send(t, "POST", h.URL+"/v2/models/colour/infer", kind, body, headerLength, length)
		n, err := strconv.Atoi(a.head.Get(headerLength))
		if a.code != http.StatusOK || err != nil || a.head.Get("Content-Type") != kind {
			t.Fatalf("request %d: got %+v", i, a)
		}
		if want := `{"model_name":"colour","model_version":"1","outputs":[{"name":"fc","shape":[2,3],"datatype":"FP32","parameters":{"binary_data_size":24}}]}`; a.body[:n] != want {
			t.Errorf("got %s, want %s", a.body[:n], want)
		}
		if _, want := binaryBody("", []float32{0, 4, 0, 0, 0, 4}); a.body[n:] != string(want) {
			t.Errorf("got the elements % x", a.body[n:])
		}
	}
	// Numbers that JSON has not come as binary only.
	body := inferBody("[1,3,8,8]", plain(0), "")
	if a := send(t, "POST", h.URL+"/v2/models/overflow/infer", "", body); a.code != http.StatusInternalServerError || !strings.Contains(a.body, "ask for binary_data") {
		t.Errorf("infinite logits as JSON: got %+v", a)
	}
	body = inferBody("[1,3,8,8]", plain(0), `,"parameters":{"binary_data_output":true}`)
	if a := send(t, "POST", h.URL+"/v2/models/overflow/infer", "", body); a.code != http.StatusOK || !strings.HasSuffix(a.body, "\x00\x00\x80\x7f") {
		t.Errorf("infinite logits as binary: got %+v", a)
	}
}

func TestBadInferRequestsSayWhatIsWrong(t *testing.T) {
	h := colours(t, usual)
	x := plain(0)
	size := func(n string) string {
		return `{"inputs":[{"name":"input","shape":[1,3,8,8],"datatype":"FP32","parameters":{"binary_data_size":` + n + `}}]}`
	}
	for _, c := range []struct {
		name, head string // head: the JSON before binary numbers
		body       []byte
		length     string
		code       int
		want       string
	}{
		{name: "nothing", body: nil, want: "unexpected end of JSON"},
		{name: "no JSON", body: []byte("hello"), want: "invalid character"},
		{name: "no input", body: []byte(`{"inputs":[]}`), want: `inputs: want one, \"input\", got 0`},
		{name: "two inputs", body: []byte(`{"inputs":[{},{}]}`), want: "got 2"},
		{name: "another input", body: []byte(strings.Replace(string(inferBody("[1,3,8,8]", x, "")), `"input"`, `"x"`, 1)), want: `inputs: want \"input\", got \"x\"`},
		{name: "another type", body: []byte(strings.Replace(string(inferBody("[1,3,8,8]", x, "")), "FP32", "INT8", 1)), want: `datatype: want FP32, got \"INT8\"`},
		{name: "another shape", body: inferBody("[1,3,8,9]", x, ""), want: "shape: want [N,3,8,8] with N from 1, got 1,3,8,9"},
		{name: "no pictures", body: inferBody("[0,3,8,8]", x, ""), want: "got 0,3,8,8"},
		{name: "a negative batch", body: inferBody("[-1,3,8,8]", x, ""), want: "got -1,3,8,8"},
		{name: "many dimensions", body: inferBody("[1,1,1,1,1,1,1,1,1]", x, ""), want: "shape: want at most 8 dimensions, got 9"},
		{name: "too many pictures", body: inferBody("[17,3,8,8]", x, ""), code: http.StatusRequestEntityTooLarge, want: "at most 16 pictures, got 17"},
		{name: "too few numbers", body: inferBody("[1,3,8,8]", x[1:], ""), want: "want 192 numbers for 1,3,8,8, got 191"},
		{name: "text among numbers", body: inferBody("[1,3,8,8]", []any{1, "x"}, ""), want: "want numbers in arrays"},
		{name: "an object", body: inferBody("[1,3,8,8]", map[string]int{"a": 1}, ""), want: "want numbers in arrays"},
		{name: "a number beyond float32", body: inferBody("[1,3,8,8]", []float64{1e300}, ""), want: "want a float32"},
		{name: "another output", body: inferBody("[1,3,8,8]", x, `,"outputs":[{"name":"y"}]`), want: `outputs: want each of [fc] at most once, got \"y\"`},
		{name: "classification", body: inferBody("[1,3,8,8]", x, `,"outputs":[{"name":"fc","parameters":{"classification":3}}]`), want: "classification is an extension that is not here"},
		{name: "no list", body: []byte(`{"inputs":{}}`), want: "want a list of tensors"},
		{name: "an output twice", body: inferBody("[1,3,8,8]", x, `,"outputs":[{"name":"fc"},{"name":"fc"}]`), want: "at most once"},
		{name: "a length beyond the body", head: size("768"), length: "99999", want: "Content-Length: want 0 to"},
		{name: "a length that is none", head: size("768"), length: "x", want: `got \"x\"`},
		{name: "binary without a length", head: size("768"), length: "none", want: "want a header Inference-Header-Content-Length"},
		{name: "a size beyond the body", head: size("772"), want: "binary_data_size: want a multiple of 4, at most the 768 bytes"},
		{name: "a size within a number", head: size("767"), want: "binary_data_size"},
		{name: "a negative size", head: size("-4"), want: "binary_data_size"},
		{name: "bytes left over", head: size("764"), want: "4 bytes are left"},
	} {
		kind, head := "application/json", []string(nil)
		if c.head != "" {
			kind = "application/octet-stream"
			var length string
			length, c.body = binaryBody(c.head, x)
			if c.length != "" {
				length = c.length
			}
			if length != "none" {
				head = []string{headerLength, length}
			}
		}
		if c.code == 0 {
			c.code = http.StatusBadRequest
		}
		if a := send(t, "POST", h.URL+"/v2/models/colour/infer", kind, c.body, head...); a.code != c.code || !strings.Contains(a.body, c.want) || !strings.HasPrefix(a.body, `{"error":"`) {
			t.Errorf("%s: got %d %s, want %d and %q", c.name, a.code, a.body, c.code, c.want)
		}
	}
}

// TestLongListsAreRefused: what is small in JSON and large in memory is not read to its end.
func TestLongListsAreRefused(t *testing.T) {
	h := colours(t, Limits{Queue: 8, Body: 1 << 22, Bodies: 1 << 22, Decoders: 2})
	many := strings.Repeat(",{}", 1<<20)
	for name, body := range map[string]string{
		"inputs": `{"inputs":[{}` + many + `]}`, "outputs": `{"outputs":[{}` + many + `]}`,
		"shape": `{"inputs":[{"shape":[1` + strings.Repeat(",1", 1<<20) + `]}]}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a := send(t, "POST", h.URL+"/v2/models/colour/infer", "", []byte(body))
		runtime.ReadMemStats(&after)
		if a.code != http.StatusBadRequest || !strings.Contains(a.body, "want at most") {
			t.Errorf("%s: got %d %.200s", name, a.code, a.body)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 12*uint64(len(body)) {
			t.Errorf("%s: %d bytes were taken for %d", name, n, len(body))
		}
	}
}

// FuzzInfer: whatever is sent, the answer is one, and a picture that is accepted has the network's size.
func FuzzInfer(f *testing.F) {
	f.Add(inferBody("[1,3,8,8]", plain(0), ""), "")
	f.Add([]byte(`{"inputs":[{"name":"input","shape":[1,3,8,8],"datatype":"FP32","parameters":{"binary_data_size":768}}]}`), "98")
	f.Add([]byte(`{"inputs":[{"name":"input","shape":[1,3,8,8],"datatype":"FP32","data":[[1,2],[3e5]]}]}`), "")
	n := &network{Network: &Network{Runner: &slow{batch: 1, flights: 1}}}
	f.Fuzz(func(t *testing.T, body []byte, length string) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		if length != "" {
			r.Header.Set(headerLength, length)
		}
		req, err := readInfer(r)
		if err != nil {
			if codeOf(err) != http.StatusBadRequest {
				t.Errorf("code %d for %v", codeOf(err), err)
			}
			return
		}
		for _, in := range req.Inputs {
			if slices.ContainsFunc(in.Data, func(v float32) bool { return math.IsInf(float64(v), 0) }) && in.Parameters.Size == nil {
				t.Errorf("JSON gave a number that is not finite: %v", in.Data)
			}
		}
		_, _, _ = n.wanted(req)
	})
}
