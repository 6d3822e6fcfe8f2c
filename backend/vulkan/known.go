package vulkan

import (
	"context"
	"time"
)

// Kernels is what was found out about the kernels on a device so far, by this program and others.
type Kernels struct {
	Proved    int // kernels that passed on the small shapes
	Layers    int // shapes of layers for which a kernel passed
	Measured  int // shapes of layers whose kernels were measured
	StruckOff []StruckOff
}

// StruckOff is a kernel that gave a wrong answer on a device or ended the program, and does not run there.
type StruckOff struct {
	Kernel string
	Shape  string // of the layer that it is struck off for; empty: for all
	Reason string
	When   time.Time
}

// Recorder is an ability of the backend that New makes.
type Recorder interface {
	// Kernels tells by the IDs of the devices what is known of their kernels. It opens none of them.
	//
	// Errors: as Devices. A file that is damaged counts as none, and is told to the logger.
	Kernels(ctx context.Context) (map[string]Kernels, error)
}

var _ Recorder = (*vulkan)(nil)

// Kernels tells by the IDs of the devices what is known of their kernels.
func (b *vulkan) Kernels(ctx context.Context) (map[string]Kernels, error) {
	inst, list, err := b.enumerate(ctx)
	if err != nil {
		return nil, err
	}
	defer inst.Close()
	all := map[string]Kernels{}
	for _, d := range list {
		file := outcomesFile(b.opts, &d.facts)
		bury(b.opts, file, d.info)
		o, err := file.Load()
		if err != nil {
			b.opts.Logger.Warn("what was found out about kernels is ignored", "device", d.info.Name, "error", err)
		}
		k := Kernels{Measured: len(o.Races())}
		layers := map[string]bool{}
		for _, p := range o.Proofs() {
			switch {
			case p.Struck:
				k.StruckOff = append(k.StruckOff, StruckOff{p.Kernel, p.Shape, p.Reason, time.Unix(p.When, 0)})
			case p.Shape == "":
				k.Proved++
			default:
				layers[p.Shape] = true
			}
		}
		k.Layers = len(layers)
		all[d.info.ID] = k
	}
	return all, nil
}
