package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	if !repositoryName.MatchString(name) || strings.Contains(name, "--") || strings.Contains(name, "..") {
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
	commit := h.commit(r)
	for _, name := range weightsFiles {
		if path := h.cached(r, commit, name); path != "" {
			h.complete(ctx, repository{r.name, commit})
			return path, nil
		}
	}
	if h.Offline {
		return "", ErrOffline
	}
	at := r // a branch, until it is known which commit that is: all files are of one
	for _, name := range besideFiles {
		_, commit, err := h.fetch(ctx, at, name)
		if err != nil && !errors.Is(err, errNoEntry) {
			return "", err
		}
		at.revision = cmp.Or(commit, at.revision)
	}
	for _, name := range weightsFiles {
		path, commit, err := h.fetch(ctx, at, name)
		if errors.Is(err, errNoEntry) {
			at.revision = cmp.Or(commit, at.revision)
			continue
		}
		if err == nil {
			err = h.remember(r, commit) // last, when all is here
		}
		return path, err
	}
	return "", fmt.Errorf("want one of %s in the repository: %w", strings.Join(weightsFiles, ", "), errNoEntry)
}

// complete gets what lies beside weights that another program has put into the cache alone: without it pictures would be prepared in another way.
func (h *Hub) complete(ctx context.Context, r repository) {
	for _, name := range besideFiles {
		if h.cached(r, r.revision, name) != "" || h.known(r, r.revision, name) {
			continue
		}
		err := ErrOffline
		if !h.Offline {
			_, _, err = h.fetch(ctx, r, name)
		}
		if err != nil && !errors.Is(err, errNoEntry) && ctx.Err() == nil && h.Note != nil {
			h.Note(fmt.Sprintf("%s is not known to be in the repository %s or not: %v", name, r.name, err))
		}
	}
}

// folder of the repository in the cache.
func (h *Hub) folder(r repository) string {
	return filepath.Join(h.HFCache, "models--"+strings.ReplaceAll(r.name, "/", "--"))
}

// commit is the one that a revision is at, as far as the cache knows; empty when it does not.
func (h *Hub) commit(r repository) string {
	if commitName.MatchString(r.revision) {
		return r.revision
	}
	text, err := os.ReadFile(filepath.Join(h.folder(r), "refs", filepath.FromSlash(r.revision)))
	if commit := strings.TrimSpace(string(text)); err == nil && commitName.MatchString(commit) {
		return commit
	}
	return ""
}

// cached is the path of a file that is in the cache, empty when it is not.
func (h *Hub) cached(r repository, commit, name string) string {
	path := filepath.Join(h.folder(r), "snapshots", commit, name)
	if st, err := os.Stat(path); commit == "" || err != nil || !st.Mode().IsRegular() {
		return ""
	}
	return path
}

// known reports whether the cache knows that a commit has not the file.
func (h *Hub) known(r repository, commit, name string) bool {
	_, err := os.Stat(filepath.Join(h.folder(r), ".no_exist", commit, name))
	return err == nil
}

// entry is what the server says of a file.
type entry struct {
	commit string
	tag    string // its checksum
	size   int64  // 0 when it is not known
}

// fetch downloads a file into the cache, and tells of which commit it is.
//
// Errors: errNoEntry, and what is in the way.
func (h *Hub) fetch(ctx context.Context, r repository, name string) (path, commit string, err error) {
	if path := h.cached(r, r.revision, name); path != "" && commitName.MatchString(r.revision) {
		return path, r.revision, nil
	}
	e, err := h.ask(ctx, r, name)
	if errors.Is(err, errNoEntry) && e.commit != "" {
		return "", e.commit, errors.Join(err, h.note(filepath.Join(h.folder(r), ".no_exist", e.commit, name), nil))
	}
	if err != nil {
		return "", e.commit, fmt.Errorf("%s: %w", name, err)
	}
	blob := filepath.Join(h.folder(r), "blobs", e.tag)
	if st, err := os.Stat(blob); err != nil || e.size > 0 && st.Size() != e.size {
		most := int64(maxBeside)
		if slices.Contains(weightsFiles, name) {
			most = maxFile
		}
		if err := h.download(ctx, h.address(repository{r.name, e.commit}, name), blob, name, e.size, most, e.tag); err != nil {
			return "", "", fmt.Errorf("%s: %w", name, err)
		}
	}
	path = filepath.Join(h.folder(r), "snapshots", e.commit, name)
	return path, e.commit, place(blob, path)
}

func (h *Hub) address(r repository, name string) string {
	return fmt.Sprintf("%s/%s/resolve/%s/%s", h.Endpoint, r.name, url.PathEscape(r.revision), name)
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
	if err := os.Rename(blob, path); err != nil {
		if _, there := os.Stat(path); there != nil { // or else another process has done it
			return err
		}
	}
	return nil
}

// remember writes which commit a branch or tag is at.
func (h *Hub) remember(r repository, commit string) error {
	if r.revision == commit {
		return nil
	}
	return h.note(filepath.Join(h.folder(r), "refs", filepath.FromSlash(r.revision)), []byte(commit))
}

// note writes a small file.
func (h *Hub) note(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return replace(path, data)
}

// ask asks for what there is to know of a file, without its contents. Small files are elsewhere on the same host, and a repository may have another
// name now: such redirects are followed. One to another host is where the contents are, and its head says the rest.
func (h *Hub) ask(ctx context.Context, r repository, name string) (entry, error) {
	address, said := h.address(r, name), http.Header{}
	for range 6 {
		res, err := h.head(ctx, address)
		if err != nil {
			return entry{}, err
		}
		for _, k := range []string{"X-Repo-Commit", "X-Linked-Etag", "X-Linked-Size"} {
			if v := res.Header.Get(k); v != "" && said.Get(k) == "" {
				said.Set(k, v)
			}
		}
		next, err := res.Location()
		if err == nil {
			err = safe(res.Request.URL, next)
			if err != nil {
				return entry{}, err
			}
		}
		if err != nil || !isHub(next, res.Request.URL) {
			return read(res, said, r, h.Token != "")
		}
		address = next.String()
	}
	return entry{}, errors.New("the server sends from one address to another, without an end")
}

// isHub reports whether a redirect stays with the hub.
func isHub(next, from *url.URL) bool {
	return next.Host == from.Host || next.Host == "huggingface.co" || next.Host == "hf.co"
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

// read reads the head of the last answer, and what those before it said.
func read(res *http.Response, said http.Header, r repository, hasToken bool) (entry, error) {
	e := entry{commit: said.Get("X-Repo-Commit")}
	if !commitName.MatchString(e.commit) {
		e.commit = ""
	}
	if err := refusal(res, r, hasToken); err != nil {
		return e, err
	}
	e.tag = strings.Trim(strings.TrimPrefix(cmp.Or(said.Get("X-Linked-Etag"), res.Header.Get("Etag")), "W/"), `"`)
	size := said.Get("X-Linked-Size")
	if size == "" && res.StatusCode < 300 {
		size = res.Header.Get("Content-Length")
	}
	if n, err := strconv.ParseInt(size, 10, 64); err == nil && n > 0 {
		e.size = n
	}
	if e.commit == "" || !tagName.MatchString(e.tag) {
		return entry{}, fmt.Errorf("%s is no hub: want the headers X-Repo-Commit, of 40 hexadecimal digits, and ETag, of 40 or 64, got %.60q and %.80q", res.Request.URL.Host, said.Get("X-Repo-Commit"), e.tag)
	}
	if commitName.MatchString(r.revision) && e.commit != r.revision {
		return entry{}, fmt.Errorf("want commit %s, got %s", r.revision, e.commit)
	}
	return e, nil
}

// refusal is the error of an answer that is none.
func refusal(res *http.Response, r repository, hasToken bool) error {
	code := res.Header.Get("X-Error-Code")
	why := ""
	if m := res.Header.Get("X-Error-Message"); m != "" {
		why = fmt.Sprintf(" (%.200q)", m)
	}
	switch {
	case res.StatusCode == http.StatusNotFound && code == "EntryNotFound":
		return errNoEntry
	case res.StatusCode == http.StatusNotFound && code == "RevisionNotFound":
		return fmt.Errorf("the repository has no revision %q", r.revision)
	case code == "GatedRepo":
		return errors.New("its owner must let you in first: ask on its page, and pass a token in HF_TOKEN")
	case (res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusNotFound) && hasToken:
		return fmt.Errorf("no repository %s, or none that the token of HF_TOKEN or of the cache may see%s", r.name, why)
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusNotFound:
		return fmt.Errorf("no repository %s, or none that may be seen without a token in HF_TOKEN%s", r.name, why)
	case res.StatusCode >= 400:
		return fmt.Errorf("%s answers %s%s", res.Request.URL.Host, res.Status, why)
	}
	return nil
}
