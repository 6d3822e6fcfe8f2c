package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/internal/fastest"
)

// onTheProcessor are the preferences of which either may be the faster: a backend for the processor, and the GPU beside it or a Vulkan driver that
// runs there.
var onTheProcessor = []preference{{"cpu", false}, {"vulkan", false}}

// measured returns the order in which auto looks where there is no discrete GPU: the cpu backend and what Vulkan has, a GPU in the processor or a driver
// that runs on the CPU, in the order of their speed. Small GPUs are slower than the processor beside them, and nothing that a device says of itself tells
// which. why says what was measured; nil when there is nothing to compare. best: in the precision that is best for it.
func (a *app) measured(ctx context.Context, other backend.DeviceInfo, best bool) (order []preference, why error) {
	processor, err := a.find(ctx, onTheProcessor[0], "")
	if err != nil {
		return preferred, nil
	}
	if best {
		other.Backend = a.best(other.Backend, other)
	}
	var candidates []fastest.Candidate
	for _, info := range []backend.DeviceInfo{processor, other} {
		candidates = append(candidates, fastest.Candidate{Info: info, Open: func(ctx context.Context) (backend.Device, error) {
			b, err := a.registry.Backend(info.Backend)
			if err != nil {
				return nil, err
			}
			return b.Open(ctx, info.ID)
		}})
	}
	rates, err := a.chooser().Measure(ctx, candidates)
	if err != nil {
		return preferred, nil // whoever uses the context next says so
	}
	return ordered(candidates, rates)
}

// ordered puts the faster of two candidates first and says why.
func ordered(candidates []fastest.Candidate, rates []fastest.Rate) ([]preference, error) {
	var texts [2]string
	for i, r := range rates {
		texts[i] = fmt.Sprintf("%s %.3g GFLOP/s", candidates[i].Info.Backend, r.FLOPsPerSecond/1e9)
		if r.Err != nil {
			texts[i] = fmt.Sprintf("%s %v", candidates[i].Info.Backend, r.Err)
		}
	}
	why := fmt.Errorf("measured: %s, %s", texts[0], texts[1])
	first, second := onTheProcessor[0], onTheProcessor[1]
	if rates[1].Err == nil && (rates[0].Err != nil || rates[1].FLOPsPerSecond > rates[0].FLOPsPerSecond) {
		first, second = second, first
	}
	return []preference{preferred[0], first, second, preferred[len(preferred)-1]}, why
}

// chooser keeps its figures beside the other caches of the program; where there is no place, it measures each time.
func (a *app) chooser() fastest.Chooser {
	v := buildVersion()
	c := fastest.Chooser{Version: v.Version + " " + v.Revision, Warn: func(err error) { a.note("%v", err) }}
	if dir, err := os.UserCacheDir(); err == nil {
		c.Dir = filepath.Join(dir, "resnet-run")
	}
	return c
}
