package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// published are the files of torchvision's weights by architecture, the newest last. Source: torchvision 0.24.1, get_model_weights.
var published = map[string][]string{
	"resnet18":         {"resnet18-f37072fd.pth"},
	"resnet34":         {"resnet34-b627a593.pth"},
	"resnet50":         {"resnet50-0676ba61.pth", "resnet50-11ad3fa6.pth"},
	"resnet101":        {"resnet101-63fe2227.pth", "resnet101-cd907fc2.pth"},
	"resnet152":        {"resnet152-394f9c45.pth", "resnet152-f82ba261.pth"},
	"resnext50_32x4d":  {"resnext50_32x4d-7cdf4587.pth", "resnext50_32x4d-1a0047aa.pth"},
	"resnext101_32x8d": {"resnext101_32x8d-8ba56ff5.pth", "resnext101_32x8d-110c445d.pth"},
	"resnext101_64x4d": {"resnext101_64x4d-173b62eb.pth"},
	"wide_resnet50_2":  {"wide_resnet50_2-95faca4d.pth", "wide_resnet50_2-9ba9bcbe.pth"},
	"wide_resnet101_2": {"wide_resnet101_2-32ee1156.pth", "wide_resnet101_2-d733dc28.pth"},
}

// hashed is the name of a file with the beginning of its SHA-256, as torch.hub checks it.
var hashed = regexp.MustCompile(`^[A-Za-z0-9_]+-([0-9a-f]{8,32})\.pth$`)

// torchFile is the file that a name means.
func torchFile(name string) (string, error) {
	if files := published[name]; files != nil {
		return files[len(files)-1], nil
	}
	if hashed.MatchString(name) {
		return name, nil
	}
	names := slices.Sorted(maps.Keys(published))
	return "", fmt.Errorf("want %s, or a file NAME-HASH.pth", strings.Join(names, ", "))
}

// torch returns the path of a file of torchvision.
func (h *Hub) torch(ctx context.Context, name string) (string, error) {
	path := filepath.Join(h.TorchDir, name)
	st, err := os.Stat(path)
	switch {
	case err == nil && st.Mode().IsRegular():
		return path, nil
	case err == nil:
		return "", fmt.Errorf("%s: want a file, got %v", path, st.Mode().Type())
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	case h.Offline:
		return "", ErrOffline
	}
	return path, h.download(ctx, h.TorchBase+"/"+name, path, name, 0, maxFile, hashed.FindStringSubmatch(name)[1])
}
