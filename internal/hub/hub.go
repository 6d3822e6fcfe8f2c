// Package hub gets published weights: from repositories of Hugging Face, and those of torchvision.
//
//	hf:ORG/NAME, hf:ORG/NAME@REVISION    what lies there: weights, and how pictures are prepared
//	torchvision:NAME, torchvision:FILE   the newest weights of an architecture, or a file by its name
//
// What was downloaded before is used without asking anyone, by this program or by another: files lie where huggingface_hub and torch.hub
// look for them too, in the same layout. A file is there when it is whole and has the checksum that was announced, or not at all; what an interrupted
// download left is gone on with.
//
// # Environment
//
// HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE, TORCH_HOME and XDG_CACHE_HOME mean what they
// do there, with ~ for the home and, but for the last two, $NAME for variables.
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
	"slices"
	"strings"
	"time"
)

// The beginnings of references.
const (
	hfScheme    = "hf:"
	torchScheme = "torchvision:"
)

// ErrOffline is wrapped when a file is not here and HF_HUB_OFFLINE forbids to ask for it.
var ErrOffline = errors.New("not downloaded yet, and HF_HUB_OFFLINE is set")

// Hub knows where files are and where they go.
type Hub struct {
	Endpoint  string // of Hugging Face, without a slash at the end
	Token     string // empty for none
	Offline   bool
	HFCache   string // the folder "hub"
	TorchBase string // of torchvision's files, without a slash at the end
	TorchDir  string // the folder "checkpoints"
	// Progress is told how much of a file is here; total is 0 when it is not known. It may be nil.
	Progress func(file string, done, total int64)
	// Note is told what people should know although there is a result. It may be nil.
	Note func(text string)

	client *http.Client
}

const (
	endpoint  = "https://huggingface.co"
	torchBase = "https://download.pytorch.org/models"
)

// FromEnvironment reads the settings.
//
// Errors: no home where one is needed, a token that cannot be read.
func FromEnvironment(getenv func(string) string) (*Hub, error) {
	h := &Hub{Endpoint: strings.TrimRight(cmp.Or(getenv("HF_ENDPOINT"), endpoint), "/"), TorchBase: torchBase, client: newClient()}
	offline := strings.ToUpper(cmp.Or(getenv("HF_HUB_OFFLINE"), getenv("TRANSFORMERS_OFFLINE")))
	h.Offline = slices.Contains([]string{"1", "ON", "YES", "TRUE"}, offline)
	home, err := "", error(nil)
	path := func(text string) string { // with the home where it is meant
		if text != "~" && !strings.HasPrefix(text, "~/") {
			return text
		}
		if home == "" && err == nil {
			home, err = os.UserHomeDir()
		}
		return filepath.Join(home, text[1:])
	}
	of := func(name, otherwise string) string { return path(os.Expand(cmp.Or(getenv(name), otherwise), getenv)) }
	cache := cmp.Or(getenv("XDG_CACHE_HOME"), "~/.cache")
	hfHome := of("HF_HOME", cache+"/huggingface")
	h.HFCache = of("HF_HUB_CACHE", cmp.Or(getenv("HUGGINGFACE_HUB_CACHE"), filepath.Join(hfHome, "hub")))
	h.TorchDir = filepath.Join(path(cmp.Or(getenv("TORCH_HOME"), cache+"/torch")), "hub", "checkpoints")
	if h.Token = strings.TrimSpace(getenv("HF_TOKEN")); h.Token == "" && err == nil {
		text, e := os.ReadFile(of("HF_TOKEN_PATH", filepath.Join(hfHome, "token")))
		if e != nil && !errors.Is(e, os.ErrNotExist) {
			return nil, fmt.Errorf("read token of Hugging Face: %w", e)
		}
		h.Token = strings.TrimSpace(string(text))
	}
	if err != nil {
		return nil, fmt.Errorf("find the folder for weights: %w", err)
	}
	return h, nil
}

// newClient has limits for what a server does not do, none for how long a large file takes.
func newClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = time.Minute
	return &http.Client{Transport: t, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("stopped after 10 redirects")
		}
		if req.URL.Host != via[0].URL.Host { // net/http would leave it for hosts below the first one's name
			req.Header.Del("Authorization")
		}
		return safe(via[len(via)-1].URL, req.URL)
	}}
}

// safe refuses to go on without encryption from where there was some.
func safe(from, to *url.URL) error {
	if from.Scheme == "https" && to.Scheme != "https" {
		return fmt.Errorf("%s sends to %s, without encryption", from.Host, to.Redacted())
	}
	return nil
}

// Is reports whether a reference is one of a hub, and not the name of a model or a file.
func Is(ref string) bool {
	return strings.HasPrefix(ref, hfScheme) || strings.HasPrefix(ref, torchScheme)
}

// Get returns the path of the weights that a reference means. Files that are not here are downloaded, and those beside them that say how pictures are
// prepared.
//
// Errors: a reference that means nothing, ErrOffline, and what the server or the disk says, with the file.
func (h *Hub) Get(ctx context.Context, ref string) (path string, err error) {
	if text, ok := strings.CutPrefix(ref, hfScheme); ok {
		r, err := parseRepository(text)
		if err != nil {
			return "", fmt.Errorf("read %.120q: %w", ref, err)
		}
		path, err = h.repository(ctx, r)
		if err != nil {
			return "", fmt.Errorf("get %s: %w", ref, err)
		}
		return path, nil
	}
	name, err := torchFile(strings.TrimPrefix(ref, torchScheme))
	if err != nil {
		return "", fmt.Errorf("read %.120q: %w", ref, err)
	}
	if path, err = h.torch(ctx, name); err != nil {
		return "", fmt.Errorf("get %s: %w", ref, err)
	}
	return path, nil
}
