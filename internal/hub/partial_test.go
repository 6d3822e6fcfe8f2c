package hub

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// interrupted is a world whose weights were downloaded in part, or which has what a download is said to have left.
func interrupted(t *testing.T, leftover []byte, name string) (w *world, weights []byte, blob string) {
	t.Helper()
	old := quiet
	quiet = 0
	t.Cleanup(func() { quiet = old })
	w = newWorld(t)
	weights = make([]byte, 300_000)
	for i := range weights {
		weights[i] = byte(i * 7 >> 3)
	}
	w.large["model.safetensors"] = weights
	blob = filepath.Join(w.hub.HFCache, "models--a--b", "blobs", fmt.Sprintf("%x", sha256.Sum256(weights)))
	if leftover != nil {
		if err := os.MkdirAll(filepath.Dir(blob), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fmt.Sprintf(name, blob), leftover, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w, weights, blob
}

// parts are the parts that were asked for, "" for all, since the last time.
func (w *world) parts() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.asked {
		if what, ok := strings.CutPrefix(a, "GET /large/model.safetensors"); ok {
			list = append(list, strings.TrimSpace(what))
		}
	}
	w.asked = nil
	return list
}

func TestADownloadGoesOnWhereItWas(t *testing.T) {
	const common, own = "%s" + unfinished, "%s.123" + unfinished
	other := bytes.Repeat([]byte("other"), 1000)
	for name, c := range map[string]struct {
		left   func(weights []byte) []byte
		as     string // the name of what is left, for the path of the whole file
		ranges bool   // the server knows of parts
		want   []string
	}{
		"a part":                      {func(w []byte) []byte { return w[:100_000] }, common, true, []string{"bytes=100000-"}},
		"of a process that was ended": {func(w []byte) []byte { return w[:100_000] }, own, true, []string{"bytes=100000-"}},
		"no parts":                    {func(w []byte) []byte { return w[:100_000] }, common, false, []string{"bytes=100000-"}},
		"all but its name":            {func(w []byte) []byte { return w }, common, true, nil},
		"too much":                    {func(w []byte) []byte { return append(bytes.Clone(w), 0) }, common, true, []string{""}},
		"of something else":           {func([]byte) []byte { return other }, common, true, []string{"bytes=5000-", ""}},
		"nothing":                     {func([]byte) []byte { return []byte{} }, common, true, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			_, weights, _ := interrupted(t, nil, "")
			w, _, blob := interrupted(t, c.left(weights), c.as)
			w.parts()
			w.ranges = c.ranges
			var told []int64
			w.hub.Progress = func(file string, done, total int64) {
				if file == "model.safetensors" {
					told = append(told, done)
				}
			}
			path, got := w.get("hf:a/b")
			if !bytes.Equal(got, weights) {
				t.Errorf("%s has %d bytes, not those of the server", path, len(got))
			}
			if asked := w.parts(); !slices.Equal(asked, c.want) {
				t.Errorf("asked for %q, want %q", asked, c.want)
			}
			if len(c.want) > 0 && (len(told) == 0 || told[len(told)-1] != int64(len(weights))) {
				t.Errorf("progress ends at %v", told)
			}
			for _, f := range left(t, filepath.Dir(blob)) {
				if strings.HasSuffix(f, unfinished) && name != "nothing" {
					t.Errorf("left behind: %s", f)
				}
			}
		})
	}
}

func TestInterruptedTwice(t *testing.T) {
	w, weights, blob := interrupted(t, nil, "")
	for cut, want := range map[int]int{200_000: 100_000, 100_000: 200_000} {
		w.cut = cut
		if _, err := w.hub.Get(t.Context(), "hf:a/b"); err == nil {
			t.Fatal("a file that ends early was taken")
		}
		if st, err := os.Stat(blob + unfinished); err != nil || st.Size() < int64(min(want, 100_000)) {
			t.Fatalf("what came was not kept: %v", err)
		}
	}
	w.ranges = true
	w.parts()
	if _, got := w.get("hf:a/b"); !bytes.Equal(got, weights) {
		t.Error("other contents")
	}
	if asked := w.parts(); len(asked) != 1 || !strings.HasPrefix(asked[0], "bytes=") {
		t.Errorf("asked for %q, want what was missing", asked)
	}
}

// TestADownloadInProgressIsLeftAlone: what grew a moment ago belongs to another process.
func TestADownloadInProgressIsLeftAlone(t *testing.T) {
	w, weights, blob := interrupted(t, []byte("some"), "%s.99"+unfinished)
	quiet = time.Hour
	w.ranges = true
	if _, got := w.get("hf:a/b"); !bytes.Equal(got, weights) {
		t.Error("other contents")
	}
	if asked := w.parts(); !slices.Equal(asked, []string{""}) {
		t.Errorf("asked for %q, want all", asked)
	}
	if text, err := os.ReadFile(blob + ".99" + unfinished); err != nil || string(text) != "some" {
		t.Errorf("got %q, %v", text, err)
	}
}

// TestServersThatSendAnotherPart are not believed.
func TestServersThatSendAnotherPart(t *testing.T) {
	w, _, _ := interrupted(t, []byte("some"), "%s"+unfinished)
	store := w.store.Config.Handler
	w.store.Config.Handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			out.Header().Set("Content-Range", "bytes 0-9/300000")
			out.WriteHeader(http.StatusPartialContent)
			return
		}
		store.ServeHTTP(out, r)
	})
	if _, err := w.hub.Get(t.Context(), "hf:a/b"); err == nil || !strings.Contains(err.Error(), `want bytes 4-..., got "bytes 0-9/300000"`) {
		t.Errorf("got %v", err)
	}
}
