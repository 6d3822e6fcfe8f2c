package serve

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
	"github.com/resnet-run/resnet-run/internal/model/pipeline"
)

// colours is a server of the colour network, and of one whose logits overflow.
func colours(t *testing.T, limits Limits) *httptest.Server {
	t.Helper()
	dev, err := reference.New().Open(t.Context(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	var list []*Network
	for _, path := range []string{modeltest.WriteModel(t, t.TempDir()), modeltest.WriteNaNModel(t, t.TempDir())} {
		m, err := model.Load(t.Context(), path, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := pipeline.NewRunner(t.Context(), dev, m, nil, 4, 100)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
		sig := r.Signature()
		list = append(list, &Network{Name: []string{"colour", "overflow"}[len(list)], Model: m, Device: dev.Info(), Runner: r, Input: sig.Inputs[0], Outputs: sig.Outputs})
	}
	s, err := New("v1", list, limits, imaging.DecodeOptions{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.SetReady(true)
	h := httptest.NewServer(s)
	t.Cleanup(s.Close)
	t.Cleanup(h.Close)
	return h
}

var usual = Limits{Queue: 16, Body: 1 << 16, Bodies: 1 << 20, Decoders: 2}

// said is an answer.
type said struct {
	code int
	head http.Header
	body string
}

func send(t *testing.T, method, url, kind string, body []byte, head ...string) said {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return said{a.StatusCode, a.Header, string(text)}
}

// form makes a form of files.
func form(t *testing.T, files ...[]byte) (kind string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.WriteField("note", "not a file"); err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		part, err := w.CreateFormFile("file", fmt.Sprintf("p%d.png", i))
		if err == nil {
			_, err = part.Write(f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

// result is an object of an answer to /classify.
type result struct {
	Image       string
	Predictions []struct {
		Index       int
		Label       string
		Probability float64
		Logit       float64
	}
	Model, Backend, Device string
	Error                  *string
}

func results(t *testing.T, a said) []result {
	t.Helper()
	var list []result
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		t.Fatalf("%v in %+v", err, a)
	}
	return list
}

func TestClassifyPictures(t *testing.T) {
	h := colours(t, usual)
	red, green, bad := modeltest.PNG(t, modeltest.Red, 8, 8), modeltest.PNG(t, modeltest.Green, 30, 9), []byte("no picture")

	list := results(t, send(t, "POST", h.URL+"/classify", "image/png", red))
	if len(list) != 1 || list[0].Image != "body" || len(list[0].Predictions) != 3 || list[0].Predictions[0].Label != "red" || list[0].Predictions[0].Logit != modeltest.Scale || list[0].Model != "colour" || list[0].Backend != "reference" {
		t.Errorf("a body: got %+v", list)
	}
	kind, body := form(t, red, bad, green, red, green, green)
	a := send(t, "POST", h.URL+"/classify?topk=1", kind, body)
	list = results(t, a)
	var labels []string
	for i, r := range list {
		if r.Image != fmt.Sprintf("p%d.png", i) {
			t.Errorf("result %d is of %s", i, r.Image)
		}
		if r.Error != nil {
			labels = append(labels, "error")
		} else {
			labels = append(labels, r.Predictions[0].Label)
		}
	}
	if want := "[red error green red green green]"; fmt.Sprint(labels) != want || a.code != http.StatusOK {
		t.Errorf("a form: got %d, %v, want %s", a.code, labels, want)
	}
	if !strings.Contains(*list[1].Error, "unknown picture format") || !strings.Contains(*list[1].Error, "p1.png") || list[1].Predictions == nil {
		t.Errorf("got %+v, want an error that names the file, and an empty list", list[1])
	}

	for _, c := range []struct {
		name, url, kind string
		body            []byte
		code            int
		want            string
	}{
		{"no picture", "/classify", "", bad, http.StatusUnprocessableEntity, "unknown picture format"},
		{"nothing", "/classify", "", nil, http.StatusUnprocessableEntity, "empty"},
		{"a bad topk", "/classify?topk=0", "", red, http.StatusBadRequest, "topk: want a number from 1"},
		{"another model", "/classify?model=x", "", red, http.StatusNotFound, `no model \"x\": there are [colour overflow]`},
		{"logits that overflow", "/classify?model=overflow", "", red, http.StatusUnprocessableEntity, "finite"},
		{"a form without files", "/classify", kind, body[:200], http.StatusBadRequest, "read body"},
		{"a form that is none", "/classify", "multipart/form-data", red, http.StatusBadRequest, "boundary"},
		{"too large", "/classify", "", make([]byte, 1<<16+1), http.StatusRequestEntityTooLarge, "want at most 65536 bytes, got 65537"},
	} {
		if a := send(t, "POST", h.URL+c.url, c.kind, c.body); a.code != c.code || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: got %d %s, want %d and %q", c.name, a.code, a.body, c.code, c.want)
		}
	}
	many := make([][]byte, usual.Queue+1)
	for i := range many {
		many[i] = red
	}
	kind, body = form(t, many...)
	if a := send(t, "POST", h.URL+"/classify", kind, body); a.code != http.StatusRequestEntityTooLarge || !strings.Contains(a.body, "at most 16 pictures") {
		t.Errorf("more pictures than may wait: got %+v", a)
	}
	// A body of unknown length is limited while it is read.
	r, err := http.NewRequestWithContext(t.Context(), "POST", h.URL+"/classify", io.MultiReader(bytes.NewReader(make([]byte, 1<<17))))
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := http.DefaultClient.Do(r); err != nil || answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body of unknown length: got %v, %v", answer, err)
	}
	if a := send(t, "GET", h.URL+"/classify", "", nil); a.code != http.StatusMethodNotAllowed {
		t.Errorf("GET: got %+v", a)
	}
}

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

// TestManyClientsAtOnce: each gets its own answers, or is told to come again.
func TestManyClientsAtOnce(t *testing.T) {
	h := colours(t, Limits{Queue: 24, Body: 1 << 16, Bodies: 1 << 20, Decoders: 2})
	pictures := [][]byte{modeltest.PNG(t, modeltest.Red, 8, 8), modeltest.PNG(t, modeltest.Green, 8, 8), modeltest.PNG(t, modeltest.Blue, 8, 8)}
	var mu sync.Mutex
	codes := map[int]int{}
	var all sync.WaitGroup
	for client := range 12 {
		all.Go(func() {
			for i := range 10 {
				c := (client + i) % 3
				kind, body := form(t, pictures[c], pictures[(c+1)%3])
				a := send(t, "POST", h.URL+"/classify?topk=1", kind, body)
				mu.Lock()
				codes[a.code]++
				mu.Unlock()
				switch a.code {
				case http.StatusOK:
					for k, r := range results(t, a) {
						if r.Error != nil || r.Predictions[0].Index != (c+k)%3 {
							t.Errorf("client %d, picture %d: got %+v, want class %d", client, k, r, (c+k)%3)
						}
					}
				case http.StatusServiceUnavailable:
					if a.head.Get("Retry-After") != "1" || !strings.Contains(a.body, "too many pictures") {
						t.Errorf("got %+v", a)
					}
				default:
					t.Errorf("got %+v", a)
				}
			}
		})
	}
	all.Wait()
	if codes[http.StatusOK] < 10 {
		t.Errorf("got the codes %v", codes)
	}
	a := send(t, "GET", h.URL+"/metrics", "", nil)
	for _, want := range []string{
		fmt.Sprintf(`resnet_run_pictures_total{model="colour",outcome="ok"} %d`, 2*codes[http.StatusOK]),
		fmt.Sprintf(`resnet_run_batch_pictures_sum{model="colour"} %d`, 2*codes[http.StatusOK]),
		fmt.Sprintf(`resnet_run_request_seconds_count{code="200",route="POST /classify"} %d`, codes[http.StatusOK]),
		"go_goroutines",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// TestTheMemoryOfBodiesIsLimited: bytes count as they come, and what comes beside too many is refused until they are gone.
func TestTheMemoryOfBodiesIsLimited(t *testing.T) {
	h := colours(t, Limits{Queue: 8, Body: 1 << 12, Bodies: 1 << 12, Decoders: 2})
	red := modeltest.PNG(t, modeltest.Red, 8, 8)
	large := append(slices.Clone(red), make([]byte, 3500-len(red))...)
	r, w := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), "POST", h.URL+"/classify", r)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int, 1)
	go func() {
		a, err := http.DefaultClient.Do(request)
		if err != nil {
			done <- 0
			return
		}
		_ = a.Body.Close()
		done <- a.StatusCode
	}()
	if _, err := w.Write(large[:10]); err != nil { // the server reads, and a body that only announces more takes nothing
		t.Fatal(err)
	}
	if a := send(t, "POST", h.URL+"/classify", "", large); a.code != http.StatusOK {
		t.Errorf("beside a body of which little has come: got %+v", a)
	}
	if _, err := w.Write(large[10:]); err != nil {
		t.Fatal(err)
	}
	for s := h.Config.Handler.(*Server); s.bodies.Load() < int64(len(large)); {
		time.Sleep(time.Millisecond) // until the server has read all of it
	}
	if a := send(t, "POST", h.URL+"/classify", "", large); a.code != http.StatusServiceUnavailable || !strings.Contains(a.body, "too many bytes") || a.head.Get("Retry-After") != "1" {
		t.Errorf("a second large body: got %+v", a)
	}
	if a := send(t, "POST", h.URL+"/classify", "", red); a.code != http.StatusOK {
		t.Errorf("a small body beside the large one: got %+v", a)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != http.StatusOK {
		t.Errorf("the large body: got %d", code)
	}
	if a := send(t, "POST", h.URL+"/classify", "", large); a.code != http.StatusOK {
		t.Errorf("afterwards: got %+v", a)
	}
}

// TestPlacesComeBack: of pictures that cannot be read, and of clients that go away.
func TestPlacesComeBack(t *testing.T) {
	h := colours(t, usual)
	red := modeltest.PNG(t, modeltest.Red, 8, 8)
	for range usual.Queue + 3 {
		if a := send(t, "POST", h.URL+"/classify", "", []byte("bad")); a.code != http.StatusUnprocessableEntity {
			t.Fatalf("got %+v", a)
		}
	}
	s := h.Config.Handler.(*Server)
	for range usual.Queue + 3 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "POST", "/classify", bytes.NewReader(red)))
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "POST", "/v2/models/colour/infer", bytes.NewReader(inferBody("[1,3,8,8]", plain(0), ""))))
	}
	if a := send(t, "POST", h.URL+"/classify", "", red); a.code != http.StatusOK {
		t.Errorf("got %+v", a)
	}
	for _, n := range s.networks {
		if k := taken(n.batches); k != 0 {
			t.Errorf("%s: %d places are still taken", n.Name, k)
		}
	}
	if n := s.bodies.Load(); n != 0 {
		t.Errorf("%d bytes of bodies are still counted", n)
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

// TestOneRequestHasNotAllDecoders: with four, a form has two at most, so that another request comes in between; and nobody has more than there are.
func TestOneRequestHasNotAllDecoders(t *testing.T) {
	limits := usual
	limits.Decoders = 4
	h := colours(t, limits)
	s := h.Config.Handler.(*Server)
	large := modeltest.PNG(t, modeltest.Red, 900, 900) // takes a while
	kind, body := form(t, slices.Repeat([][]byte{large}, 12)...)
	done := make(chan said, 1)
	go func() { done <- send(t, "POST", h.URL+"/classify", kind, body) }()
	most := 0
	for a := (said{}); a.code == 0; {
		select {
		case a = <-done:
			if a.code != http.StatusOK {
				t.Errorf("got %+v", a)
			}
		default:
			most = max(most, len(s.decoders))
		}
	}
	if most < 1 || most > 2 {
		t.Errorf("a request had %d decoders, want 1 or 2", most)
	}
	for range limits.Decoders { // all are busy
		s.decoders <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/classify", bytes.NewReader(large)))
		code <- w.Code
	}()
	select {
	case c := <-code:
		t.Errorf("a picture was decoded beyond the limit: %d", c)
	case <-time.After(100 * time.Millisecond):
	}
	cancel()
	if c := <-code; c != statusGone {
		t.Errorf("a client that went away: got %d", c)
	}
}

// TestAPanicOfAPictureIsItsError: the server goes on.
func TestAPanicOfAPictureIsItsError(t *testing.T) {
	h := colours(t, usual)
	s := h.Config.Handler.(*Server)
	red := modeltest.PNG(t, modeltest.Red, 8, 8)
	whole := s.networks[0].Model
	s.networks[0].Model = nil
	if a := send(t, "POST", h.URL+"/classify", "", red); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "internal error") {
		t.Errorf("while a picture is prepared: got %+v", a)
	}
	s.networks[0].Model = whole
	if a := send(t, "POST", h.URL+"/classify", "", red); a.code != http.StatusOK || taken(s.networks[0].batches) != 0 {
		t.Errorf("afterwards: got %+v", a)
	}
}

func TestNotReadyAndPage(t *testing.T) {
	h := colours(t, usual)
	s := h.Config.Handler.(*Server)
	s.SetReady(false)
	for _, path := range []string{"/v2/health/ready", "/v2/models/colour/ready"} {
		if a := send(t, "GET", h.URL+path, "", nil); a.code != http.StatusServiceUnavailable {
			t.Errorf("%s: got %+v", path, a)
		}
	}
	if a := send(t, "GET", h.URL+"/v2/health/live", "", nil); a.code != http.StatusOK {
		t.Errorf("live: got %+v", a)
	}
	a := send(t, "GET", h.URL+"/", "", nil)
	if a.code != http.StatusOK || !strings.Contains(a.head.Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(a.body, "fetch(\"classify\"") {
		t.Errorf("the page: got %+v", a)
	}
}

func TestServersThatCannotBe(t *testing.T) {
	n := &Network{Name: "a", Runner: &slow{batch: 1, flights: 1}}
	for _, c := range []struct {
		list   []*Network
		limits Limits
		want   string
	}{
		{nil, usual, "at least one network"}, {[]*Network{n, n}, usual, `two networks have the name "a"`},
		{[]*Network{n}, Limits{0, 1, 1, 1}, "want a queue"}, {[]*Network{n}, Limits{1, 2, 1, 1}, "want a queue"},
	} {
		if _, err := New("", c.list, c.limits, imaging.DecodeOptions{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
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
