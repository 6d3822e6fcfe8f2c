package vulkan

import (
	"context"
	"errors"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// Proofs run one after the other, since the file that outlives the process names what it was at. Drivers compile for milliseconds to seconds, so the
// pipelines are made before, side by side. A process that ends in that has no kernel to blame: the next ones on this device make theirs one by one.

// togetherKey is what is struck off instead of a kernel. With other kernels it may be tried again.
func (o *outcomes) togetherKey() tune.Key {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]*shaders.Variant, len(shaders.Manifest))
	for i := range all {
		all[i] = &shaders.Manifest[i]
	}
	return tune.Key{Kernel: tune.Together, Hash: o.hashOf(all)}
}

// makeTogether makes the pipelines that the proofs of choices will ask for. What goes wrong shows again in the proof that it concerns, and is told there.
func (o *outcomes) makeTogether(ctx context.Context, list []choice) {
	if len(list) < 2 {
		return
	}
	key := o.togetherKey()
	if p, ok := o.proof(key); ok && p.Struck {
		return
	}
	steps := o.trialSteps(list)
	if o.dev.enter() != nil {
		return
	}
	defer o.dev.leave()
	o.enter(key)
	defer o.leave()
	made, err := o.dev.kernels.getAll(ctx, steps)
	if err != nil && !errors.Is(err, context.Canceled) {
		o.dev.opts.Logger.Debug("pipelines were not made side by side", "error", err)
	}
	o.dev.kernels.release(made) // they stay, as the latest of those that nothing uses
}

// trialSteps are the steps of the trials in the proofs of choices that were not made before.
func (o *outcomes) trialSteps(list []choice) (steps []*plan.Step) {
	add := func(n *graph.Node, candidate string) {
		if g, err := graphOf(n, nil); err == nil {
			if p, err := o.dev.planTrial(g, candidate); err == nil {
				steps = append(steps, p.Steps...)
			}
		}
	}
	met := map[tune.Key]bool{}
	is := func(key tune.Key) bool { _, ok := o.proof(key); return ok || met[key] }
	for _, c := range list {
		shape := shapeOf(c.node)
		key := tune.Key{Kernel: c.candidate, Hash: o.hash(c.node, shape, c.candidate)}
		if !is(key) {
			small, _ := o.dev.smallNodes(c.node.Op, c.candidate) // an error shows in the proof
			for _, n := range small {
				add(n, c.candidate)
			}
		}
		met[key] = true
		if key.Shape = shape; !is(key) {
			add(c.node, c.candidate)
		}
	}
	return steps
}
