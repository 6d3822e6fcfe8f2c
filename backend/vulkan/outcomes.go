package vulkan

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// programVersion is that of the rules by which kernels are proved and measured, and of what plan does for them besides the SPIR-V:
// packing, dispatch sizes, scratch memory. Outcomes of another version are worthless.
const programVersion = 3

// outcomesFile names the file of what was found out about the kernels on a device.
func outcomesFile(o Options, f *facts.Facts) tune.File {
	file := tune.File{ID: tune.Identity{
		Device: f.DeviceUUID.String(), DriverID: uint32(f.Driver.ID), DriverVersion: f.Driver.Version, Driver: f.DriverUUID.String(),
		Pipelines: f.PipelineCacheUUID.String(), Program: programVersion,
	}}
	dir := o.CacheDir
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return file
		}
		dir = filepath.Join(user, "resnet-run", "vulkan")
	}
	if o.NoCache {
		return file
	}
	// One file for each device and driver; a hash, since the whole identity would be too long a name.
	sum := sha256.Sum256(fmt.Append(nil, file.ID))
	file.Path = filepath.Join(dir, fmt.Sprintf("kernels-%04x-%04x-%x.txt", f.VendorID, f.DeviceID, sum[:8]))
	return file
}

// outcomes is what is known of the kernels on a device. Compilations share it.
type outcomes struct {
	dev  *device
	file tune.File
	turn chan struct{} // full while one compilation proves or measures: two would disturb each other's times

	mu      sync.Mutex
	known   *tune.Outcomes
	begun   *tune.Begun                  // says which proof is under way, while there is one
	fresh   bool                         // there is something that the file has not
	strikes bool                         // some kernel was struck off
	hashes  map[string]map[string]string // by shape, then candidate
	pieces  map[*shaders.Variant][]byte
}

func newOutcomes(d *device) *outcomes {
	o := &outcomes{dev: d, file: outcomesFile(d.opts, &d.facts), turn: make(chan struct{}, 1), hashes: map[string]map[string]string{}, pieces: map[*shaders.Variant][]byte{}}
	bury(d.opts, o.file, d.info)
	var err error
	if o.known, err = o.file.Load(); err != nil {
		d.opts.Logger.Warn("what was found out about kernels is ignored and will be found out again", "device", d.info.Name, "error", err)
	}
	o.strikes = slices.ContainsFunc(o.known.Proofs(), func(p tune.Proof) bool { return p.Struck })
	return o
}

// proves tells whether kernels are proved before they run: those that were asked for are not.
func (d *device) proves(opt *plan.Options) bool { return !d.opts.Unproved && len(opt.Variants) == 0 }

// settle makes the plan of a graph from kernels that have proved themselves on the device: it plans, proves what was chosen and is not
// proved yet, and plans again while something fails. Where tuning is wanted, candidates are measured in between.
func (d *device) settle(ctx context.Context, opt plan.Options, g *graph.Graph, t Tuning) (*plan.Plan, error) {
	if !d.proves(&opt) {
		return plan.Build(d.limits, opt, g)
	}
	o := d.outcomes
	if err := acquire(ctx, o.turn); err != nil {
		return nil, err
	}
	defer func() { <-o.turn }()
	defer o.save()
	defer o.proved()
	opt.Judge = o.struck
	p, err := o.provedPlan(ctx, &opt, g)
	if err != nil || t.Mode == TuneOff {
		return p, err
	}
	if err := o.race(ctx, opt, g, p, t); err != nil {
		return p, err
	}
	opt.Judge = o.judge
	return o.provedPlan(ctx, &opt, g)
}

// provedPlan is a plan of proved kernels alone. It takes opt.Half back where layers in float16 and in float32 stand side by side and what goes
// from one to the other was struck off.
func (o *outcomes) provedPlan(ctx context.Context, opt *plan.Options, g *graph.Graph) (*plan.Plan, error) {
	for range maxStrikes {
		p, err := plan.Build(o.dev.limits, *opt, g)
		if err != nil {
			return nil, err
		}
		if opt.Half && o.cannotConvert(p) {
			opt.Half = false
			o.dev.opts.Logger.Warn("all layers stay float32, as the kernels between float16 and float32 were struck off", "graph", g.Name, "device", o.dev.info.Name)
			continue
		}
		ok, err := o.prove(ctx, g, p)
		if err != nil || ok {
			o.explain(g, p)
			return p, err // with the plan: when memory is what lacks, a smaller part of the batch may do
		}
	}
	return nil, fmt.Errorf("vulkan: bug: more than %d plans had kernels that were struck off", maxStrikes)
}

// maxStrikes is far above the number of kernels times shapes that could fail one after the other.
const maxStrikes = 10000

// explain gives the steps of a plan that run because a better kernel was struck off that reason.
func (o *outcomes) explain(g *graph.Graph, p *plan.Plan) {
	if !o.strikes || len(p.Choices) == 0 {
		return
	}
	because := map[string]string{}
	for i, n := range g.Nodes {
		if p.Choices[i] == "" {
			continue
		}
		list, err := plan.Candidates(o.dev.limits, o.dev.planOptions(), unbound(n))
		if err == nil && len(list) > 0 && list[0].Name != p.Choices[i] && o.struck(n, list[0].Name).Struck {
			because[n.Name] = "rule: the next best, as " + list[0].Name + " was struck off"
		}
	}
	for _, s := range p.Steps {
		if why, ok := because[s.Node]; ok {
			s.Reason = why
		}
	}
}

// prove proves what a plan has chosen. It is false when something did not pass, and was struck off.
func (o *outcomes) prove(ctx context.Context, g *graph.Graph, p *plan.Plan) (ok bool, err error) {
	chosen, err := choicesOf(g, p)
	if err != nil {
		return false, err
	}
	todo := o.unproved(chosen)
	defer o.tell(len(todo), len(todo))
	o.tell(0, len(todo))
	o.makeTogether(ctx, todo)
	ok = true
	for _, v := range p.Conversions() {
		good, err := o.proveConversion(ctx, v)
		if err != nil {
			return false, fmt.Errorf("prove %s: %w", v.Name, err)
		}
		ok = ok && good
	}
	for i, c := range todo {
		if i > 0 {
			o.tell(i, len(todo))
		}
		good, err := o.proveNode(ctx, c.node, c.candidate)
		if err != nil {
			return false, fmt.Errorf("prove node %q (%s): %w", c.node.Name, c.node.Op.Name(), err)
		}
		ok = ok && good
	}
	return ok, nil
}

// batches are those that go through a plan's kernels: the usual part, and the last one where it is smaller.
func batches(p *plan.Plan) []int {
	if p.Chunk > 0 && p.Batch%p.Chunk != 0 {
		return []int{p.Chunk, p.Batch % p.Chunk}
	}
	return []int{p.Chunk}
}

func withBatch(g *graph.Graph, p *plan.Plan, batch int) (*graph.Graph, error) {
	if batch == p.Batch {
		return g, nil
	}
	return g.WithBatch(batch)
}

// proveNode proves a candidate, unless that was done before, on the small shapes and on the node's own.
func (o *outcomes) proveNode(ctx context.Context, n *graph.Node, candidate string) (bool, error) {
	shape := shapeOf(n)
	hash := o.hash(n, shape, candidate)
	for _, s := range []struct {
		shape string
		prove func(context.Context, *graph.Node, string) (verdict, error)
	}{{"", o.dev.proveSmall}, {shape, o.dev.proveLayer}} {
		key := tune.Key{Kernel: candidate, Hash: hash, Shape: s.shape}
		if ok, err := o.proveKey(ctx, key, shape, func() (verdict, error) { return s.prove(ctx, n, candidate) }); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// proveKey makes a proof, unless that was done before, and keeps what it found. shape is what people are told.
func (o *outcomes) proveKey(ctx context.Context, key tune.Key, shape string, prove func() (verdict, error)) (bool, error) {
	if p, ok := o.proof(key); ok {
		return !p.Struck, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	o.enter(key)
	v, err := prove()
	o.leave()
	if backend.IsUnsupported(err) { // the reference takes no tensors of such sizes; a part of the batch may do
		err = fmt.Errorf("%w: %w", backend.ErrOutOfMemory, err)
	}
	if err != nil && !errors.Is(err, backend.ErrDeviceLost) {
		return false, err
	}
	if v.everywhere {
		key.Shape = ""
	}
	o.record(key, shape, v)
	return err == nil && v.wrong == "", err
}

// record keeps what a proof found, and says it where the kernel failed.
func (o *outcomes) record(key tune.Key, shape string, v verdict) {
	p := tune.Proof{Key: key, Error: v.worst, When: time.Now().Unix(), Struck: v.wrong != "", Reason: v.wrong}
	if p.Struck {
		where := "this shape"
		if key.Shape == "" {
			where = "the device"
		}
		o.dev.opts.Logger.Warn("kernel struck off, as it failed its proof", "kernel", key.Kernel, "for", where,
			"device", o.dev.info.Name, "driver", o.dev.info.Driver, "shape", shape, "found", v.wrong)
	}
	if v.lost > 0 {
		o.dev.opts.Logger.Warn("kernel loses NaN and infinity, which its driver does not promise to keep; what it makes of numbers is right",
			"kernel", key.Kernel, "device", o.dev.info.Name, "driver", o.dev.info.Driver, "elements", v.lost)
	}
	o.mu.Lock()
	o.known.AddProof(p)
	o.fresh = true
	o.strikes = o.strikes || p.Struck
	o.mu.Unlock()
	if p.Struck {
		o.save() // the next one may take the program down
	}
}

func (o *outcomes) proof(k tune.Key) (tune.Proof, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known.Proof(k)
}

// struck is the planner's judge where nothing but right or wrong counts.
func (o *outcomes) struck(n *graph.Node, candidate string) plan.Verdict {
	shape := shapeOf(n)
	hash := o.hash(n, shape, candidate)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range []string{"", shape} {
		if p, ok := o.known.Proof(tune.Key{Kernel: candidate, Hash: hash, Shape: s}); ok && p.Struck {
			return plan.Verdict{Struck: true}
		}
	}
	return plan.Verdict{}
}

// judge is the planner's judge with what was measured.
func (o *outcomes) judge(n *graph.Node, candidate string) plan.Verdict {
	v := o.struck(n, candidate)
	if v.Struck {
		return v
	}
	shape := shapeOf(n)
	hash := o.hash(n, shape, candidate)
	o.mu.Lock()
	defer o.mu.Unlock()
	if r, ok := o.known.Race(o.raceOf(shape)); ok {
		v.Seconds, v.Why = r.Seconds(candidate, hash), why(r, candidate)
	}
	return v
}

// raceOf is where the race of a shape is kept. Its kernels, and which of them the rule takes, depend on the precision, which types of the graph do not tell.
func (o *outcomes) raceOf(shape string) string {
	if p := o.dev.opts.Precision; p != Float32 {
		return shape + " in " + p.String()
	}
	return shape
}

// refuses reports that every candidate of a node was struck off for the whole device, or for the node's shape.
func (o *outcomes) refuses(n *graph.Node) error {
	if n.Output.Type.SizeBytes() == 0 {
		return nil // nothing is computed
	}
	list, err := plan.Candidates(o.dev.limits, o.dev.planOptions(), n)
	if err != nil {
		return nil // a batch that is too large is split
	}
	for _, c := range list {
		if !o.struck(n, c.Name).Struck {
			return nil
		}
	}
	if len(list) == 0 {
		return nil
	}
	return backend.Unsupported(n.Op.Name(), "a kernel that gives right answers on this device", fmt.Sprintf("%d that do not", len(list)))
}

// hash is that of a candidate of a node: of all that is sent to the driver but the constants, which follow from the shape.
func (o *outcomes) hash(n *graph.Node, shape, candidate string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	byName, ok := o.hashes[shape]
	if !ok {
		byName = map[string]string{}
		for _, half := range []bool{false, o.dev.planOptions().Half} { // some nodes may be kept in float32
			opt := o.dev.planOptions()
			opt.Half = half
			list, err := plan.Candidates(o.dev.limits, opt, unbound(n))
			if err != nil {
				continue
			}
			for i := range list {
				byName[list[i].Name] = o.hashOf(list[i].Variants())
			}
		}
		o.hashes[shape] = byName
	}
	return byName[candidate]
}

// unbound is the node without its weights: the candidates that they rule out are among those of a shape all the same.
func unbound(n *graph.Node) *graph.Node {
	c := *n
	c.Inputs = slices.Clone(n.Inputs)
	for i, v := range c.Inputs {
		if v.Data != nil {
			bare := *v
			bare.Data = nil
			c.Inputs[i] = &bare
		}
	}
	return &c
}

// conversions are the kernels between formats. They belong to no candidate, and are proved with each that reads or writes what they make.
var conversions = sync.OnceValue(func() (list []*shaders.Variant) {
	for i := range shaders.Manifest {
		if v := &shaders.Manifest[i]; plan.ChangesFormat(v) {
			list = append(list, v)
		}
	}
	return list
})

// hashOf hashes kernels, and those that change formats: the SPIR-V and how it is used. o.mu is held.
func (o *outcomes) hashOf(list []*shaders.Variant) string {
	all := sha256.New()
	for _, v := range slices.Concat(list, conversions()) {
		piece, ok := o.pieces[v]
		if !ok {
			sum := sha256.New()
			fmt.Fprintf(sum, "%s %d %v %d %q %d %d %d %d\n", v.Name, v.Bindings, v.Texels, v.PushBytes, v.Spec, v.LocalSize, v.SharedBytes, v.FilterBlock, v.PixelTile)
			_ = binary.Write(sum, binary.LittleEndian, o.dev.opts.code(v)) // a hash takes everything
			piece = sum.Sum(nil)
			o.pieces[v] = piece
		}
		all.Write(piece)
	}
	return hex.EncodeToString(all.Sum(nil)[:12])
}

// save writes the file when there is something new. That it cannot is no error: it is a cache.
func (o *outcomes) save() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.fresh {
		return
	}
	o.fresh = false
	if err := o.file.Save(o.known); err != nil {
		o.dev.opts.Logger.Warn("what was found out about kernels was not saved", "error", err)
	}
}
