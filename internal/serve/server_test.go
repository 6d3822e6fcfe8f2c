package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
