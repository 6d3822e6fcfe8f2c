package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// Finding is the outcome of one check of [Diagnose].
type Finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// sampleBytes is the size of the tensor that [Diagnose] sends to and fro.
const sampleBytes = 16 << 20

// Diagnose checks a plugin from its manifest to the end of its process, which it starts if the plugin is trusted, and
// stops at the first check that fails.
func Diagnose(ctx context.Context, p Plugin, o Options) []Finding {
	d := &diagnosis{b: New(p, o)}
	d.check("manifest", func() (string, error) {
		if p.Err != nil {
			return "", p.Err
		}
		return fmt.Sprintf("%s: version %s", p.Path, p.Manifest.Version), nil
	})
	d.check("trust", func() (string, error) {
		pins, err := Pins(o.LockPath)
		if err == nil {
			_, err = Examine(p, pins)
		}
		return fmt.Sprintf("%d files are as they were on %v", len(pins[p.Name].Files), pins[p.Name].TrustedAt.Local().Format(time.DateTime)), err
	})
	d.check("start", func() (string, error) {
		began := stopwatch.Now()
		proc, err := d.b.process(ctx)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("ready after %.0f ms, says version %s", stopwatch.Since(began).Seconds()*1e3, proc.version), nil
	})
	var list []backend.DeviceInfo
	d.check("devices", func() (text string, err error) {
		list, err = d.b.Devices(ctx)
		for i, info := range list {
			text += fmt.Sprintf("%d %s; ", i, info.Name)
		}
		return text, err
	})
	d.check("tensors", func() (string, error) { return d.transfer(ctx, list[0].ID) })
	if proc := d.b.now; proc != nil {
		d.check("memory", func() (string, error) {
			return fmt.Sprintf("%s resident, %s allowed", mebibytes(resident(proc.child.processID())), mebibytes(d.b.o.Limits.Memory)), proc.alive()
		})
		d.check("end", func() (string, error) {
			began := stopwatch.Now()
			err := d.b.Close()
			return fmt.Sprintf("%s, %.0f ms after it was asked", proc.child.howItEnded(), stopwatch.Since(began).Seconds()*1e3), err
		})
	}
	_ = d.b.Close() // a second time does nothing
	return d.found
}

type diagnosis struct {
	b      *Backend
	found  []Finding
	failed bool
}

// check makes a check unless one before it has failed.
func (d *diagnosis) check(what string, do func() (string, error)) {
	if d.failed {
		return
	}
	text, err := do()
	if err != nil {
		d.failed, text = true, err.Error()
	}
	d.found = append(d.found, Finding{what, err == nil, text})
}

// transfer sends a tensor to the device and back.
func (d *diagnosis) transfer(ctx context.Context, id string) (_ string, err error) {
	dev, err := d.b.Open(ctx, id)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	shape, err := graph.MakeShape([]int{sampleBytes / 4})
	if err != nil {
		return "", err
	}
	buf, err := dev.NewBuffer(ctx, graph.TensorType{DType: graph.Float32, Shape: shape})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, buf.Close()) }()
	data, back := bytes.Repeat([]byte{1, 2, 3, 60}, sampleBytes/4), make([]byte, sampleBytes)
	best := time.Duration(0)
	for range 4 { // the first makes the shared memory
		began := stopwatch.Now()
		if err := buf.Write(ctx, data); err != nil {
			return "", err
		}
		if err := buf.Read(ctx, back); err != nil {
			return "", err
		}
		if took := stopwatch.Since(began); best == 0 || took < best {
			best = took
		}
	}
	if !bytes.Equal(data, back) {
		return "", errors.New("a tensor came back changed")
	}
	way := "in chunks"
	if rs := d.b.now.regions; rs.inUse() {
		way = "through shared memory"
	}
	return fmt.Sprintf("%s, %.1f GB/s", way, 2*sampleBytes/best.Seconds()/1e9), nil
}

// inUse reports whether tensors go through shared memory.
func (rs *regions) inUse() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.count > 0
}
