package serve

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

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
