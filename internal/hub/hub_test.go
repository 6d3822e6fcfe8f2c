package hub

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // it is git's
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// world is a hub with a repository a/b, a store for its large files, and torchvision's server.
type world struct {
	t          *testing.T
	hub        *Hub
	store      *httptest.Server
	small      map[string][]byte // of the repository
	large      map[string][]byte
	torch      map[string][]byte
	mu         sync.Mutex
	asked      []string                               // method and path of each request
	tokens     map[string]string                      // that each host was given
	spoil      func(http.ResponseWriter, string) bool // answers in place of the world, by path
	tag        string                                 // in place of the right one
	silent     bool                                   // heads do not say how long small files are
	cut, extra int                                    // bytes of large files
	ranges     bool                                   // the store sends parts
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, small: map[string][]byte{}, large: map[string][]byte{}, torch: map[string][]byte{}, tokens: map[string]string{}}
	hf, store := httptest.NewServer(http.HandlerFunc(w.serveHub)), httptest.NewServer(http.HandlerFunc(w.serveStore))
	t.Cleanup(hf.Close)
	t.Cleanup(store.Close)
	w.store = store
	w.hub = &Hub{Endpoint: hf.URL, HFCache: filepath.Join(t.TempDir(), "hub"), TorchBase: store.URL + "/models", TorchDir: filepath.Join(t.TempDir(), "checkpoints"), client: newClient()}
	return w
}

func (w *world) note(r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	w.tokens[r.Host] = r.Header.Get("Authorization")
}

// count is how many requests there were since the last time.
func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.asked)
	w.asked = nil
	return n
}

func gitSum(data []byte) string {
	return fmt.Sprintf("%x", sha1.Sum(append([]byte(fmt.Sprintf("blob %d\x00", len(data))), data...)))
}

func (w *world) serveHub(out http.ResponseWriter, r *http.Request) {
	w.note(r)
	if w.spoil != nil && w.spoil(out, r.URL.Path) {
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/api/resolve-cache/models/a/b/"+commit+"/"); ok {
		out.Header().Set("ETag", `W/"`+gitSum(w.small[name])+`"`)
		if r.Method == http.MethodGet || !w.silent {
			_, _ = out.Write(w.small[name])
		} else {
			out.Header().Set("Transfer-Encoding", "chunked") // which has no length
		}
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/a/b/resolve/")
	if !ok {
		out.Header().Set("X-Error-Code", "RepoNotFound")
		out.WriteHeader(http.StatusUnauthorized)
		return
	}
	revision, name, _ := strings.Cut(rest, "/")
	if revision != "main" && revision != "v1.0" && revision != commit {
		out.Header().Set("X-Error-Code", "RevisionNotFound")
		out.WriteHeader(http.StatusNotFound)
		return
	}
	h := out.Header()
	h.Set("X-Repo-Commit", commit)
	if data, ok := w.small[name]; ok { // as the Hub does it: elsewhere on the same host, and it does not say how long
		h.Set("X-Linked-Etag", `"`+gitSum(data)+`"`)
		h.Set("Location", "/api/resolve-cache/models/a/b/"+commit+"/"+name)
		out.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	data, ok := w.large[name]
	if !ok {
		h.Set("X-Error-Code", "EntryNotFound")
		out.WriteHeader(http.StatusNotFound)
		return
	}
	tag := w.tag
	if tag == "" {
		tag = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	h.Set("X-Linked-Etag", `"`+tag+`"`)
	h.Set("X-Linked-Size", fmt.Sprint(len(data)))
	http.Redirect(out, r, w.store.URL+"/large/"+name, http.StatusFound)
}

func (w *world) serveStore(out http.ResponseWriter, r *http.Request) {
	w.note(r)
	folder, name := filepath.Split(strings.TrimPrefix(r.URL.Path, "/"))
	data, ok := map[string]map[string][]byte{"large/": w.large, "models/": w.torch}[folder][name]
	if !ok {
		out.WriteHeader(http.StatusNotFound)
		return
	}
	if w.ranges {
		http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(data))
		return
	}
	_, _ = out.Write(append(data[:len(data)-w.cut:len(data)-w.cut], make([]byte, w.extra)...))
}

// get gets a reference, and returns the contents of the file.
func (w *world) get(ref string) (path string, data []byte) {
	w.t.Helper()
	path, err := w.hub.Get(w.t.Context(), ref)
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return path, data
}

// left are the files in a folder and below, but for those that say what a repository has not.
func left(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && !strings.Contains(filepath.ToSlash(path), "/.no_exist/") {
			rel, _ := filepath.Rel(dir, path)
			list = append(list, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestARepositoryIsDownloadedOnce into the layout that huggingface_hub has, and used without asking afterwards.
func TestARepositoryIsDownloadedOnce(t *testing.T) {
	w := newWorld(t)
	w.small["config.json"] = []byte(`{"pretrained_cfg":{}}`)
	w.large["model.safetensors"] = bytes.Repeat([]byte("weights "), 10000)
	var last int64
	w.hub.Progress = func(file string, done, total int64) {
		if file == "model.safetensors" && total == 80000 && done > last {
			last = done
		}
	}
	w.hub.Token = "secret"
	path, data := w.get("hf:a/b")
	snapshot := filepath.Join(w.hub.HFCache, "models--a--b", "snapshots", commit)
	if path != filepath.Join(snapshot, "model.safetensors") || !bytes.Equal(data, w.large["model.safetensors"]) || last != 80000 {
		t.Errorf("got %s with %d bytes, %d told", path, len(data), last)
	}
	if config, err := os.ReadFile(filepath.Join(snapshot, "config.json")); err != nil || string(config) != `{"pretrained_cfg":{}}` {
		t.Errorf("config.json: got %s, %v", config, err)
	}
	if ref, err := os.ReadFile(filepath.Join(w.hub.HFCache, "models--a--b", "refs", "main")); err != nil || string(ref) != commit {
		t.Errorf("refs/main: got %q, %v", ref, err)
	}
	if runtime.GOOS != "windows" {
		want := "../../blobs/" + fmt.Sprintf("%x", sha256.Sum256(data))
		if link, err := os.Readlink(path); err != nil || link != want {
			t.Errorf("got the link %q, %v, want %q", link, err, want)
		}
		if files := left(t, filepath.Join(w.hub.HFCache, "models--a--b", "blobs")); len(files) != 2 {
			t.Errorf("got the blobs %v, want two and nothing half written", files)
		}
	}
	for host, token := range w.tokens {
		if want := map[bool]string{true: "Bearer secret"}["http://"+host == w.hub.Endpoint]; token != want {
			t.Errorf("%s was given the token %q, want %q", host, token, want)
		}
	}
	w.count()
	for _, offline := range []bool{false, true} {
		w.hub.Offline = offline
		for _, ref := range []string{"hf:a/b", "hf:a/b@main", "hf:a/b@" + commit} {
			if again, _ := w.get(ref); again != path || w.count() != 0 {
				t.Errorf("%s again: got %s, and something was asked", ref, again)
			}
		}
	}
	w.hub.Offline = false
	if again, _ := w.get("hf:a/b@v1.0"); again != path { // another name of the same commit
		t.Errorf("got %s", again)
	}
}

func TestOlderWeights(t *testing.T) {
	w := newWorld(t)
	w.large["pytorch_model.bin"] = []byte("zip")
	if path, data := w.get("hf:a/b"); filepath.Base(path) != "pytorch_model.bin" || string(data) != "zip" {
		t.Errorf("got %s, %q", path, data)
	}
	delete(w.large, "pytorch_model.bin")
	w.small["model.safetensors"] = []byte("a small one, without a store")
	w.hub.HFCache = filepath.Join(t.TempDir(), "other")
	if _, data := w.get("hf:a/b"); !strings.HasPrefix(string(data), "a small one") {
		t.Errorf("got %q", data)
	}
}

// TestACacheOfAnotherProgram: timm fetches weights without what says how pictures are prepared. That is asked for once, and told when nobody answers.
func TestACacheOfAnotherProgram(t *testing.T) {
	w := newWorld(t)
	w.small["config.json"] = []byte("{}")
	folder := filepath.Join(w.hub.HFCache, "models--a--b")
	write := func(path, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(folder, "snapshots", commit, "model.safetensors"), "weights")
	write(filepath.Join(folder, "refs", "main"), commit)
	var notes []string
	w.hub.Note = func(text string) { notes = append(notes, text) }
	w.hub.Offline = true
	if _, data := w.get("hf:a/b"); string(data) != "weights" || len(notes) != 2 || !strings.Contains(notes[0], "config.json is not known to be in the repository a/b") || w.count() != 0 {
		t.Errorf("offline: got %q, notes %q", data, notes)
	}
	w.hub.Offline, notes = false, nil
	path, _ := w.get("hf:a/b")
	if config, err := os.ReadFile(filepath.Join(filepath.Dir(path), "config.json")); err != nil || string(config) != "{}" || len(notes) > 0 || w.count() == 0 {
		t.Errorf("got %q, %v, notes %q", config, err, notes)
	}
	if w.get("hf:a/b"); w.count() != 0 {
		t.Error("what is not there is asked for again")
	}
}

// TestAllFilesAreOfOneCommit: also when a part of another one is here, and the branch moves meanwhile.
func TestAllFilesAreOfOneCommit(t *testing.T) {
	w := newWorld(t)
	w.small["config.json"] = []byte("new")
	w.large["model.safetensors"] = []byte("weights")
	old := filepath.Join(w.hub.HFCache, "models--a--b", "snapshots", strings.Repeat("e", 40), "config.json")
	ref := filepath.Join(w.hub.HFCache, "models--a--b", "refs", "main")
	for path, text := range map[string]string{old: "old", ref: strings.Repeat("e", 40)} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	path, _ := w.get("hf:a/b")
	if config, err := os.ReadFile(filepath.Join(filepath.Dir(path), "config.json")); err != nil || string(config) != "new" || filepath.Base(filepath.Dir(path)) != commit {
		t.Errorf("got %s with the config %q, %v", path, config, err)
	}
	for _, a := range w.asked {
		if strings.Contains(a, "/main/") && !strings.HasSuffix(a, "config.json") || strings.Contains(a, "GET /a/b/resolve/main/") {
			t.Errorf("%s: want the commit once it is known", a)
		}
	}
}

// TestHeadsWithoutALength: git's sum needs one, which the file has.
func TestHeadsWithoutALength(t *testing.T) {
	w := newWorld(t)
	w.silent = true
	w.small["config.json"], w.small["model.safetensors"] = []byte("{}"), []byte("small weights")
	if _, data := w.get("hf:a/b"); string(data) != "small weights" {
		t.Errorf("got %q", data)
	}
}

func TestWhereATokenMayGo(t *testing.T) {
	parse := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, c := range []struct {
		from, to string
		ok       bool
	}{{"https://a/x", "https://b/x", true}, {"http://a/x", "http://b/x", true}, {"http://a/x", "https://a/x", true}, {"https://a/x", "http://a/x", false}, {"https://a/x", "ftp://a/x", false}} {
		if err := safe(parse(c.from), parse(c.to)); (err == nil) != c.ok {
			t.Errorf("from %s to %s: got %v", c.from, c.to, err)
		}
	}
	h := &Hub{Endpoint: "https://hub", Token: "secret"}
	for address, want := range map[string]string{"https://hub/a": "Bearer secret", "https://hub.evil/a": "", "http://hub/a": "", "https://other/a": ""} {
		req := httptest.NewRequest(http.MethodGet, address, nil)
		if h.authorize(req); req.Header.Get("Authorization") != want {
			t.Errorf("%s: got %q", address, req.Header.Get("Authorization"))
		}
	}
}

func TestARepositoryThatHasMoved(t *testing.T) {
	w := newWorld(t)
	w.small["model.safetensors"] = []byte("x")
	w.spoil = func(out http.ResponseWriter, path string) bool {
		if rest, ok := strings.CutPrefix(path, "/old/name/"); ok {
			out.Header().Set("Location", "/a/b/"+rest)
			out.WriteHeader(http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	if _, data := w.get("hf:old/name"); string(data) != "x" {
		t.Errorf("got %q", data)
	}
	w.spoil = func(out http.ResponseWriter, path string) bool {
		out.Header().Set("Location", path+"x")
		out.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
	if _, err := w.hub.Get(t.Context(), "hf:c/d"); err == nil || !strings.Contains(err.Error(), "without an end") {
		t.Errorf("for ever: got %v", err)
	}
}

// TestWhatIsWrongWithADownload is told with the file, and leaves nothing, but for the beginning of one that may be gone on with.
func TestWhatIsWrongWithADownload(t *testing.T) {
	code := func(n int, said string) func(http.ResponseWriter, string) bool {
		return func(out http.ResponseWriter, _ string) bool {
			out.Header().Set("X-Error-Code", said)
			out.WriteHeader(n)
			return true
		}
	}
	for name, c := range map[string]struct {
		ref   string
		setUp func(*world)
		want  string
	}{
		"no repository":        {"hf:no/where", func(*world) {}, "no repository no/where, or none that may be seen without a token in HF_TOKEN"},
		"no revision":          {"hf:a/b@v9", func(*world) {}, `no revision "v9"`},
		"no weights":           {"hf:a/b", func(w *world) { w.large = nil }, "want one of model.safetensors, pytorch_model.bin"},
		"gated":                {"hf:a/b", func(w *world) { w.spoil = code(403, "GatedRepo") }, "its owner must let you in first"},
		"gated, to a stranger": {"hf:a/b", func(w *world) { w.spoil = code(401, "GatedRepo") }, "its owner must let you in first"},
		"a firewall":           {"hf:a/b", func(w *world) { w.spoil = code(403, "") }, "answers 403"},
		"a stale token":        {"hf:no/where", func(w *world) { w.hub.Token = "old" }, "or none that the token of HF_TOKEN or of the cache may see"},
		"a large config":       {"hf:a/b", func(w *world) { w.small["config.json"] = make([]byte, maxBeside+1) }, "config.json: want at most 16777216 bytes"},
		"another commit": {"hf:a/b@" + strings.Repeat("e", 40), func(w *world) {
			w.spoil = func(out http.ResponseWriter, path string) bool {
				out.Header().Set("X-Repo-Commit", commit)
				out.Header().Set("ETag", `"`+strings.Repeat("a", 40)+`"`)
				return true
			}
		}, "want commit eeee"},
		"broken":             {"hf:a/b", func(w *world) { w.spoil = code(500, "") }, "answers 500"},
		"no hub":             {"hf:a/b", func(w *world) { w.spoil = code(200, "") }, "is no hub: want the headers X-Repo-Commit"},
		"a tag that is none": {"hf:a/b", func(w *world) { w.tag = "../../../../etc/passwd" }, "is no hub"},
		"another checksum":   {"hf:a/b", func(w *world) { w.tag = strings.Repeat("a", 64) }, "model.safetensors: the checksum is wrong: want aaaa"},
		"cut off":            {"hf:a/b", func(w *world) { w.cut = 3 }, "model.safetensors: want 800 bytes, got 797"},
		"too long":           {"hf:a/b", func(w *world) { w.extra = 3 }, "model.safetensors: want 800 bytes, got 801 or more"},
		"offline":            {"hf:a/b", func(w *world) { w.hub.Offline = true }, "HF_HUB_OFFLINE is set"},
		"no server":          {"hf:a/b", func(w *world) { w.hub.Endpoint = "http://127.0.0.1:1" }, "connect"},
		"torch: checksum":    {"torchvision:resnet18", func(w *world) { w.torch["resnet18-f37072fd.pth"] = []byte("x") }, "the checksum is wrong: want f37072fd"},
		"torch: not there":   {"torchvision:resnet18", func(*world) {}, "answers 404"},
		"torch: offline":     {"torchvision:resnet18", func(w *world) { w.hub.Offline = true }, "HF_HUB_OFFLINE is set"},
		"torch: no network":  {"torchvision:vgg16", func(*world) {}, "want resnet101, resnet152"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.large["model.safetensors"] = bytes.Repeat([]byte("weights "), 100)
			c.setUp(w)
			if _, err := w.hub.Get(t.Context(), c.ref); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.ref) {
				t.Errorf("got %v, want %q and the reference", err, c.want)
			}
			files := append(left(t, w.hub.HFCache), left(t, w.hub.TorchDir)...)
			if begun := name == "cut off" && len(files) == 1 && strings.HasSuffix(files[0], unfinished); !begun && len(files) > 0 {
				t.Errorf("left behind: %v", files)
			}
		})
	}
}

func TestTorchvision(t *testing.T) {
	w := newWorld(t)
	data := []byte("a checkpoint")
	name := "mine-" + fmt.Sprintf("%x", sha256.Sum256(data))[:8] + ".pth"
	w.torch[name] = data
	path, got := w.get("torchvision:" + name)
	if path != filepath.Join(w.hub.TorchDir, name) || !bytes.Equal(got, data) {
		t.Errorf("got %s, %q", path, got)
	}
	w.count()
	if _, err := w.hub.Get(t.Context(), "torchvision:"+name); err != nil || w.count() != 0 {
		t.Errorf("again: %v, and something was asked", err)
	}
	for n, files := range published {
		for _, f := range files {
			if !hashed.MatchString(f) || !strings.HasPrefix(f, n+"-") {
				t.Errorf("%s: %s", n, f)
			}
		}
	}
	if f, err := torchFile("resnet50"); err != nil || f != "resnet50-11ad3fa6.pth" {
		t.Errorf("the newest of resnet50: got %s, %v", f, err)
	}
}

func TestReferences(t *testing.T) {
	for ref, want := range map[string]bool{
		"hf:timm/resnet50.a1_in1k": true, "hf:resnet": true, "hf:a/b@refs/pr/1": true, "hf:a/b@" + commit: true,
		"hf:": false, "hf:a/b/c": false, "hf:../b": false, "hf:a/..": false, "hf:a/b@": false, "hf:a/b@..": false, "hf:a/b@x/../y": false, "hf:a b/c": false, "hf:a--b/c": false, "hf:a/b..c": false, "hf:a/.b": false,
		"torchvision:resnet50": true, "torchvision:../x-01234567.pth": false, "torchvision:": false, "torchvision:a-xyz.pth": false,
	} {
		if !Is(ref) {
			t.Errorf("%s is no reference", ref)
		}
		var err error
		if text, ok := strings.CutPrefix(ref, hfScheme); ok {
			_, err = parseRepository(text)
		} else {
			_, err = torchFile(strings.TrimPrefix(ref, torchScheme))
		}
		if (err == nil) != want {
			t.Errorf("%s: got %v", ref, err)
		}
	}
	for _, ref := range []string{"resnet50", "hf/model.safetensors", "C:/x.pth", "./hf:a/b"} {
		if Is(ref) {
			t.Errorf("%s is a reference", ref)
		}
	}
}

func TestCancelledDownload(t *testing.T) {
	w := newWorld(t)
	w.large["model.safetensors"] = bytes.Repeat([]byte("weights "), 100000)
	ctx, cancel := context.WithCancel(t.Context())
	w.hub.Progress = func(string, int64, int64) { cancel() }
	if _, err := w.hub.Get(ctx, "hf:a/b"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if files := left(t, w.hub.HFCache); len(files) != 1 || !strings.HasSuffix(files[0], unfinished) {
		t.Errorf("left behind: %v, want the beginning of the file", files)
	}
}

func TestFromEnvironment(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(" kept \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	slash := filepath.ToSlash
	for _, c := range []struct {
		env                     map[string]string // HOME is t's
		hf, torch, token, point string
		offline                 bool
	}{
		{map[string]string{"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub", "/c/torch/hub/checkpoints", "", endpoint, false},
		{map[string]string{"XDG_CACHE_HOME": "/c", "HF_HOME": dir, "TORCH_HOME": "/t", "HF_ENDPOINT": "https://mirror/"}, dir + "/hub", "/t/hub/checkpoints", "kept", "https://mirror", false},
		{map[string]string{}, "/me/.cache/huggingface/hub", "/me/.cache/torch/hub/checkpoints", "", endpoint, false},
		{map[string]string{"HF_HOME": "~/h", "TORCH_HOME": "~/t", "HF_TOKEN": " x\n", "TRANSFORMERS_OFFLINE": "1"}, "/me/h/hub", "/me/t/hub/checkpoints", "x", endpoint, true},
		{map[string]string{"D": "/d", "HF_HUB_CACHE": "$D/hub", "TORCH_HOME": "/t"}, "/d/hub", "/t/hub/checkpoints", "", endpoint, false},
		{map[string]string{"XDG_CACHE_HOME": "/c", "HF_HOME": dir, "HF_HUB_CACHE": "/h", "HF_TOKEN": "now", "HF_HUB_OFFLINE": "yes"}, "/h", "/c/torch/hub/checkpoints", "now", endpoint, true},
	} {
		t.Setenv("HOME", "/me")
		t.Setenv("USERPROFILE", "/me")
		h, err := FromEnvironment(func(k string) string { return c.env[k] })
		if err != nil || slash(h.HFCache) != slash(c.hf) || slash(h.TorchDir) != c.torch || h.Token != c.token || h.Endpoint != c.point || h.Offline != c.offline {
			t.Errorf("%v: got %+v, %v", c.env, h, err)
		}
	}
}
