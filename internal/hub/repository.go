package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// repository is one of Hugging Face, of the kind "model".
type repository struct{ name, revision string }

var (
	// A name has an organisation or not; neither part is "." or "..".
	repositoryName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,95})?$`)
	revisionName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$`)
	commitName     = regexp.MustCompile(`^[0-9a-f]{40}$`)
	// A tag is the checksum of a file: git's of a small one, SHA-256 of a large one.
	tagName = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

func parseRepository(text string) (repository, error) {
	name, revision, ok := strings.Cut(text, "@")
	if !ok {
		revision = "main"
	}
	if !repositoryName.MatchString(name) {
		return repository{}, errors.New("want hf:ORG/NAME or hf:ORG/NAME@REVISION, with letters, digits and . _ - in the names")
	}
	if len(revision) > 200 || !revisionName.MatchString(revision) {
		return repository{}, fmt.Errorf("revision: want a branch, a tag or a commit, got %.80q", revision)
	}
	return repository{name, revision}, nil
}

// The files that are looked for: the first weights that there are, and what says how pictures are prepared.
var (
	weightsFiles = []string{"model.safetensors", "pytorch_model.bin"}
	besideFiles  = []string{"config.json", "preprocessor_config.json"}
)

// errNoEntry: the repository has not the file.
var errNoEntry = errors.New("the repository has no such file")

// repository returns the path of the weights in the cache.
func (h *Hub) repository(ctx context.Context, r repository) (string, error) {
	for _, name := range weightsFiles {
		if path := h.cached(r, name); path != "" {
			return path, nil
		}
	}
	if h.Offline {
		return "", ErrOffline
	}
	for _, name := range besideFiles { // before the weights, which are the sign that all is here
		if _, err := h.fetch(ctx, r, name); err != nil && !errors.Is(err, errNoEntry) {
			return "", err
		}
	}
	for _, name := range weightsFiles {
		path, err := h.fetch(ctx, r, name)
		if !errors.Is(err, errNoEntry) {
			return path, err
		}
	}
	return "", fmt.Errorf("want one of %s in the repository: %w", strings.Join(weightsFiles, ", "), errNoEntry)
}

// folder of the repository in the cache.
func (h *Hub) folder(r repository) string {
	return filepath.Join(h.HFCache, "models--"+strings.ReplaceAll(r.name, "/", "--"))
}

// cached is the path of a file that is in the cache, empty when it is not.
func (h *Hub) cached(r repository, name string) string {
	commit := r.revision
	if !commitName.MatchString(commit) {
		text, err := os.ReadFile(filepath.Join(h.folder(r), "refs", filepath.FromSlash(r.revision)))
		if commit = strings.TrimSpace(string(text)); err != nil || !commitName.MatchString(commit) {
			return ""
		}
	}
	path := filepath.Join(h.folder(r), "snapshots", commit, name)
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	return path
}

// entry is what the server says of a file.
type entry struct {
	url    string
	commit string
	tag    string // its checksum
	size   int64  // 0 when it is not known
}

// fetch downloads a file into the cache.
//
// Errors: errNoEntry, and what is in the way.
func (h *Hub) fetch(ctx context.Context, r repository, name string) (string, error) {
	if path := h.cached(r, name); path != "" {
		return path, nil
	}
	e, err := h.ask(ctx, r, name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	blob := filepath.Join(h.folder(r), "blobs", e.tag)
	if _, err := os.Stat(blob); errors.Is(err, fs.ErrNotExist) {
		err = h.download(ctx, e.url, blob, name, e.size, newSum(e.tag, e.size))
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	} else if err != nil {
		return "", err
	}
	path := filepath.Join(h.folder(r), "snapshots", e.commit, name)
	if err := place(blob, path); err != nil {
		return "", err
	}
	return path, h.remember(r, e.commit)
}

// place links a file of a snapshot to its blob; where there are no links, it is the blob.
func place(blob, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	to, err := filepath.Rel(filepath.Dir(path), blob)
	if err != nil {
		return err
	}
	linked := os.Symlink(to, path)
	if _, err := os.Stat(path); err == nil { // by another process, if not by this one
		return nil
	}
	if linked == nil { // it leads nowhere or is none, where a system only claims to have links
		_ = os.Remove(path) // Rename says whether something is in the way
	}
	return os.Rename(blob, path)
}

// remember writes which commit a branch or tag is at.
func (h *Hub) remember(r repository, commit string) error {
	if r.revision == commit {
		return nil
	}
	path := filepath.Join(h.folder(r), "refs", filepath.FromSlash(r.revision))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return replace(path, []byte(commit))
}

// ask asks for what there is to know of a file, without its contents.
func (h *Hub) ask(ctx context.Context, r repository, name string) (entry, error) {
	address := fmt.Sprintf("%s/%s/resolve/%s/%s", h.Endpoint, r.name, url.PathEscape(r.revision), name)
	for range 5 { // a repository that has another name now
		res, err := h.head(ctx, address)
		if err != nil {
			return entry{}, err
		}
		next, err := res.Location()
		if err == nil && next.Host == res.Request.URL.Host && res.Header.Get("X-Repo-Commit") == "" {
			address = next.String()
			continue
		}
		return h.read(res, r)
	}
	return entry{}, errors.New("the server sends from one address to another, without an end")
}

func (h *Hub) head(ctx context.Context, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return nil, err
	}
	h.authorize(req)
	c := *h.client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	return res, res.Body.Close()
}

func (h *Hub) authorize(req *http.Request) {
	req.Header.Set("Accept-Encoding", "identity") // sizes are those of the file
	if h.Token != "" && strings.HasPrefix(req.URL.String(), h.Endpoint+"/") {
		req.Header.Set("Authorization", "Bearer "+h.Token)
	}
}

// read reads the head of an answer.
func (h *Hub) read(res *http.Response, r repository) (entry, error) {
	switch said := res.Header.Get("X-Error-Code"); {
	case res.StatusCode == http.StatusNotFound && said == "EntryNotFound":
		return entry{}, errNoEntry
	case res.StatusCode == http.StatusNotFound && said == "RevisionNotFound":
		return entry{}, fmt.Errorf("the repository has no revision %q", r.revision)
	case res.StatusCode == http.StatusForbidden || said == "GatedRepo":
		return entry{}, errors.New("its owner must let you in first: ask on its page, and pass a token in HF_TOKEN")
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusNotFound:
		return entry{}, fmt.Errorf("no repository %s, or none that may be seen without a token in HF_TOKEN", r.name)
	case res.StatusCode >= 400:
		return entry{}, fmt.Errorf("%s answers %s", res.Request.URL.Host, res.Status)
	}
	e := entry{url: res.Request.URL.String(), commit: res.Header.Get("X-Repo-Commit")}
	e.tag = strings.Trim(strings.TrimPrefix(or(res.Header.Get("X-Linked-Etag"), res.Header.Get("Etag")), "W/"), `"`)
	size := or(res.Header.Get("X-Linked-Size"), res.Header.Get("Content-Length"))
	if n, err := strconv.ParseInt(size, 10, 64); err == nil && n > 0 && (res.StatusCode < 300 || res.Header.Get("X-Linked-Size") != "") {
		e.size = n
	}
	if !commitName.MatchString(e.commit) || !tagName.MatchString(e.tag) {
		return entry{}, fmt.Errorf("%s is no hub: want the headers X-Repo-Commit, of 40 hexadecimal digits, and ETag, of 40 or 64, got %.60q and %.80q", res.Request.URL.Host, e.commit, e.tag)
	}
	return e, nil
}
