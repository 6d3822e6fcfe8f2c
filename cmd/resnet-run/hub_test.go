package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// TestModelsOfAHub are downloaded by the commands that take a model, once, and have the name that was asked for.
func TestModelsOfAHub(t *testing.T) {
	world(t)
	data, err := os.ReadFile("colour.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("X-Repo-Commit", strings.Repeat("a", 40))
		if !slices.Contains([]string{"/me/colour/resolve/main/model.safetensors", "/me/colour/resolve/" + strings.Repeat("a", 40) + "/model.safetensors"}, r.URL.Path) {
			w.Header().Set("X-Error-Code", "EntryNotFound")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(data))))
		_, _ = w.Write(data)
	}))
	defer server.Close()
	env := map[string]string{"HF_ENDPOINT": server.URL, "HF_HUB_CACHE": filepath.Join(t.TempDir(), "hub"), "XDG_CACHE_HOME": t.TempDir()}
	o := run(t, t.Context(), nil, env, nil, "classify", "-m", "hf:me/colour", "-f", "json", "pictures/red.png")
	if o.code != exitOK || !strings.Contains(o.stdout, `"label":"red"`) || !strings.Contains(o.stdout, `"model":"hf:me/colour"`) || asked.Load() == 0 {
		t.Errorf("got %+v", o)
	}
	asked.Store(0)
	for _, args := range [][]string{
		{"explain", "-m", "hf:me/colour", "-f", "json", "pictures/red.png"}, {"inspect", "hf:me/colour"}, {"eval", "-m", "hf:me/colour", "--dataset", "set"},
	} {
		if o := run(t, t.Context(), nil, env, nil, args...); o.code != exitOK || !strings.Contains(o.stdout, "hf:me/colour") {
			t.Errorf("%v: got %+v", args, o)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests for what is here", n)
	}
	for args, want := range map[string]string{
		"hf:me/other": "get hf:me/other: want one of model.safetensors", "hf:../x": "want hf:ORG/NAME", "torchvision:vgg": "want resnet101",
	} {
		if o := run(t, t.Context(), nil, env, nil, "classify", "-m", args, "pictures/red.png"); o.code != exitModel || !strings.Contains(o.stderr, want) {
			t.Errorf("%s: got %+v, want code %d and %q", args, o, exitModel, want)
		}
	}
}
