package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model"
)

// Limits keep a server alive whatever it is sent.
type Limits struct {
	Queue    int   // pictures that may wait for each network, 1 or more
	Body     int64 // bytes of a request
	Bodies   int64 // bytes of all requests that are under way
	Decoders int   // pictures that are decoded at once, 1 or more: each may take many bytes for a pixel that is allowed
}

// Network is a model that is compiled on a device.
type Network struct {
	Name    string // in URLs
	Model   *model.Model
	Device  backend.DeviceInfo
	Runner  runner
	Input   graph.Port   // [N,3,side,side]
	Outputs []graph.Port // [N,...], of which the first are the logits
}

// Server answers requests. Make it with [New], and end it with Close.
type Server struct {
	version  string
	networks []*network
	limits   Limits
	decode   imaging.DecodeOptions
	log      *slog.Logger
	metrics  *metrics
	decoders chan struct{} // a place for each picture that is being decoded
	bodies   atomic.Int64  // bytes of requests that are under way
	ready    atomic.Bool
	mux      *http.ServeMux
}

// network is a Network with its queue.
type network struct {
	*Network
	batches *batcher
	seen    *meter
}

// New makes a server for networks, the first of which is asked where a request names none. It is not ready before SetReady says so.
//
// Errors: no network, two of one name, and limits that let nothing through.
func New(version string, list []*Network, limits Limits, decode imaging.DecodeOptions, log *slog.Logger) (*Server, error) {
	s := &Server{version: version, limits: limits, decode: decode, log: log, metrics: newMetrics(), mux: http.NewServeMux()}
	switch {
	case len(list) == 0:
		return nil, errors.New("serve: want at least one network, got none")
	case limits.Queue < 1 || limits.Body < 1 || limits.Bodies < limits.Body || limits.Decoders < 1:
		return nil, fmt.Errorf("serve: want a queue, bodies and decoders of at least 1, and all bodies of at least one, got %+v", limits)
	}
	s.decoders = make(chan struct{}, limits.Decoders)
	for i, n := range list {
		if slices.ContainsFunc(list[:i], func(o *Network) bool { return o.Name == n.Name }) {
			return nil, fmt.Errorf("serve: two networks have the name %q", n.Name)
		}
	}
	for _, n := range list {
		seen := s.metrics.meter(n.Name)
		s.networks = append(s.networks, &network{n, newBatcher(n.Runner, limits.Queue, seen, log), seen})
	}
	s.routes()
	return s, nil
}

// routes names what can be asked for.
func (s *Server) routes() {
	for _, r := range []struct {
		pattern string
		h       http.HandlerFunc
	}{
		{"GET /{$}", s.page},
		{"POST /classify", s.classify},
		{"GET /v2", s.serverMetadata},
		{"GET /v2/health/live", func(w http.ResponseWriter, _ *http.Request) {
			s.answer(w, http.StatusOK, map[string]bool{"live": true})
		}},
		{"GET /v2/health/ready", s.serverReady},
		{"GET /v2/models/{model}", s.modelMetadata},
		{"GET /v2/models/{model}/ready", s.modelReady},
		{"POST /v2/models/{model}/infer", s.infer},
		{"GET /v2/models/{model}/versions/{version}", s.modelMetadata},
		{"GET /v2/models/{model}/versions/{version}/ready", s.modelReady},
		{"POST /v2/models/{model}/versions/{version}/infer", s.infer},
		{"GET /metrics", s.metrics.handler().ServeHTTP},
	} {
		s.mux.HandleFunc(r.pattern, s.metrics.timed(r.pattern, r.h))
	}
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// SetReady says whether requests are answered soon: not while executables are compiled.
func (s *Server) SetReady(ready bool) { s.ready.Store(ready) }

// Close ends all work; what waits is answered with an error.
func (s *Server) Close() {
	s.SetReady(false)
	for _, n := range s.networks {
		n.batches.close()
	}
}

// modelVersion is the only one of each model.
const modelVersion = "1"

// network finds the model of a request.
func (s *Server) network(r *http.Request) (*network, error) {
	name, version := r.PathValue("model"), r.PathValue("version")
	if name == "" {
		if name = r.URL.Query().Get("model"); name == "" {
			return s.networks[0], nil
		}
	}
	i := slices.IndexFunc(s.networks, func(n *network) bool { return n.Name == name })
	if i < 0 {
		return nil, fault(http.StatusNotFound, "no model %.80q: there are %v", name, s.names())
	}
	if version != "" && version != modelVersion {
		return nil, fault(http.StatusNotFound, "model %s: want version %s, got %.80q", name, modelVersion, version)
	}
	return s.networks[i], nil
}

func (s *Server) names() []string {
	var names []string
	for _, n := range s.networks {
		names = append(names, n.Name)
	}
	return names
}

// requestError is an error with the code of the answer.
type requestError struct {
	code int
	err  error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

func fault(code int, format string, args ...any) error {
	return &requestError{code, fmt.Errorf(format, args...)}
}

// codeOf is the code of the answer to a request that failed.
func codeOf(err error) int {
	var r *requestError
	switch {
	case errors.As(err, &r):
		return r.code
	case errors.Is(err, errBusy), errors.Is(err, errClosed):
		return http.StatusServiceUnavailable
	case errors.Is(err, context.Canceled):
		return statusGone
	}
	return http.StatusInternalServerError
}

// statusGone is for the counts alone: nobody reads the answer. It is the code that nginx writes into its log then.
const statusGone = 499

// fail answers with an error, in the form of the protocol.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := codeOf(err)
	if code >= http.StatusInternalServerError && code != http.StatusServiceUnavailable {
		s.log.Error("request failed", "path", r.URL.Path, "error", err)
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	s.answer(w, code, map[string]string{"error": err.Error()})
}

// answer writes JSON.
func (s *Server) answer(w http.ResponseWriter, code int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		s.log.Error("write answer", "error", err) // ours alone: what is answered can be written
		code, text = http.StatusInternalServerError, []byte(`{"error":"the answer could not be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	if _, err := w.Write(append(text, '\n')); err != nil {
		s.log.Debug("answer was not read", "error", err)
	}
}

// body limits the body of a request, and counts its bytes until free is called.
func (s *Server) body(w http.ResponseWriter, r *http.Request) (free func(), err error) {
	if r.ContentLength > s.limits.Body {
		return nil, fault(http.StatusRequestEntityTooLarge, "want at most %d bytes, got %d", s.limits.Body, r.ContentLength)
	}
	b := &counted{ReadCloser: http.MaxBytesReader(w, r.Body, s.limits.Body), server: s}
	r.Body = b
	return func() { s.bodies.Add(-b.n) }, nil
}

// counted is a body whose bytes are counted with those of all others, as they come: one that only announces many takes nothing.
type counted struct {
	io.ReadCloser
	server *Server
	n      int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	if c.server.bodies.Add(int64(n)) > c.server.limits.Bodies {
		return 0, fault(http.StatusServiceUnavailable, "too many bytes of requests are under way: try again later")
	}
	return n, err
}
