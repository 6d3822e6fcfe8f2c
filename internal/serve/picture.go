package serve

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"

	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/report"
)

//go:embed page.html
var pageHTML []byte

// page answers with a page to drop pictures on.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(pageHTML) // nothing to do when nobody reads
}

// upload is a picture of a request.
type upload struct {
	name string
	data []byte
}

// classify answers what is on the pictures of a request: an array of objects as the command classify writes them.
func (s *Server) classify(w http.ResponseWriter, r *http.Request) {
	results, err := s.classified(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	code := http.StatusUnprocessableEntity // when there is no result at all
	for _, c := range results {
		if c.Error == nil {
			code = http.StatusOK
		}
	}
	s.answer(w, code, results)
}

func (s *Server) classified(w http.ResponseWriter, r *http.Request) ([]report.Classification, error) {
	n, err := s.network(r)
	if err != nil {
		return nil, err
	}
	topK := 5
	if text := r.URL.Query().Get("topk"); text != "" {
		if topK, err = strconv.Atoi(text); err != nil || topK < 1 {
			return nil, fault(http.StatusBadRequest, "topk: want a number from 1, got %.40q", text)
		}
	}
	free, err := s.body(w, r)
	if err != nil {
		return nil, err
	}
	defer free()
	uploads, err := s.uploads(r)
	if err != nil {
		return nil, err
	}
	if err := n.batches.reserve(len(uploads)); err != nil {
		return nil, err
	}
	results := make([]report.Classification, len(uploads))
	failures := make([]error, len(uploads)) // of the server
	// One request has some decoders at most, so that others come in between.
	own := make(chan struct{}, max(1, cap(s.decoders)/2))
	var all sync.WaitGroup
	for i, u := range uploads {
		all.Go(func() { results[i], failures[i] = s.classifyOne(r, n, u, topK, own) })
	}
	all.Wait()
	return results, first(failures)
}

// first is the first error: what happens to a server happens to all pictures of a request.
func first(list []error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// uploads reads the pictures of a request: the files of a form, or the body.
//
// Errors: a form that cannot be read, and none or more pictures than may wait.
func (s *Server) uploads(r *http.Request) ([]upload, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, unreadable(err)
		}
		return []upload{{"body", data}}, nil
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, fault(http.StatusBadRequest, "read form: %w", err)
	}
	var list []upload
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unreadable(err)
		}
		if part.FileName() == "" {
			continue
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, unreadable(err)
		}
		if list = append(list, upload{part.FileName(), data}); len(list) > s.limits.Queue {
			return nil, fault(http.StatusRequestEntityTooLarge, "want at most %d pictures, got more", s.limits.Queue)
		}
	}
	if len(list) == 0 {
		return nil, fault(http.StatusBadRequest, "read form: want at least one file, got none")
	}
	return list, nil
}

// unreadable is the error of a body that was not sent as it should be.
func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	var known *requestError
	if errors.As(err, &known) {
		return err
	}
	if errors.As(err, &tooLarge) {
		return fault(http.StatusRequestEntityTooLarge, "want at most %d bytes, got more", tooLarge.Limit)
	}
	return fault(http.StatusBadRequest, "read body: %w", err)
}

// classifyOne answers one picture, for which there is a place in the queue. The error is the server's; that of a picture is in the result.
func (s *Server) classifyOne(r *http.Request, n *network, u upload, topK int, own chan struct{}) (c report.Classification, err error) {
	defer recovered(s.log, &err) // it runs in a goroutine of its own, where net/http does not see to that
	c = report.Classification{Image: u.name, Model: n.Name, Backend: n.Device.Backend, Device: n.Device.Name}
	data, err := s.prepare(r, n, u, own)
	if err != nil {
		n.batches.release(1)
		n.seen.count(err)
		if r.Context().Err() != nil {
			return c, r.Context().Err()
		}
		text := err.Error()
		c.Error = &text
		return c, nil
	}
	outputs, err := n.batches.wait(n.batches.enqueue(r.Context(), data))
	if err != nil {
		n.seen.count(err)
		return c, err
	}
	if c.Predictions, err = n.Model.Top(outputs[0], topK); err != nil {
		text := err.Error()
		c.Error = &text
	}
	n.seen.count(err)
	return c, nil
}

// prepare decodes a picture into the input of a network, when a decoder is free: one of the request's own, and one of the server's.
func (s *Server) prepare(r *http.Request, n *network, u upload, own chan struct{}) (data []float32, err error) {
	for _, places := range []chan struct{}{own, s.decoders} {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	defer recovered(s.log, &err)
	img, err := imaging.Decode(bytes.NewReader(u.data), fmt.Sprintf("%.200q", u.name), s.decode)
	if err != nil {
		return nil, err
	}
	data = make([]float32, n.Runner.Elems())
	return data, n.Model.Preprocess.Apply(img, data)
}
