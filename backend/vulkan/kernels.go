package vulkan

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/shaders"
)

// unusedKernels is how many pipelines are kept that no executable uses. A driver on the CPU takes one to ten megabytes for one, and whoever compiles
// many graphs, as the conformance suite does, would have thousands.
const unusedKernels = 128

// kernels makes and keeps the pipelines of a device; executables share them.
type kernels struct {
	dev   *device
	mu    sync.Mutex
	cache vk.PipelineCache
	file  cacheFile
	saved int // bytes of the cache's data when it was last read or written

	modules   map[*shaders.Variant]vk.ShaderModule
	sets      map[string]vk.DescriptorSetLayout // by types of the bindings
	layouts   map[layoutKey]vk.PipelineLayout
	pipelines map[string]*kernel
	making    map[string]chan struct{} // pipelines that a goroutine is about to make; closed when it ended

	unused []*kernel // pipelines that no executable uses, the one that has been so longest first
	keep   int       // how many of them

	statistics bool // whether pipelines keep what the driver says about them
}

// kernel is what a dispatch needs of a pipeline.
type kernel struct {
	types    []vk.DescriptorType // of the bindings
	pipeline vk.Pipeline
	layout   vk.PipelineLayout
	set      vk.DescriptorSetLayout

	// Under the lock of kernels.
	key   string
	users int // steps of executables
}

// layoutKey is what pipelines that share a layout have in common.
type layoutKey struct {
	types     string // of the bindings
	pushBytes int
}

// descriptorTypes are the types of a variant's bindings.
func descriptorTypes(v *shaders.Variant) []vk.DescriptorType {
	types := vk.StorageBuffers(v.Bindings)
	for _, b := range v.Texels {
		types[b] = vk.DescriptorUniformTexel
	}
	return types
}

func newKernels(d *device) (*kernels, error) {
	k := &kernels{
		dev: d, modules: map[*shaders.Variant]vk.ShaderModule{}, sets: map[string]vk.DescriptorSetLayout{},
		layouts: map[layoutKey]vk.PipelineLayout{}, pipelines: map[string]*kernel{}, making: map[string]chan struct{}{}, keep: unusedKernels,
	}
	var data []byte
	if !d.opts.NoCache {
		k.file = cacheFileFor(d.opts.CacheDir, &d.facts)
		var err error
		if data, err = k.file.read(); err != nil {
			d.opts.Logger.Warn("Vulkan pipeline cache ignored", "error", err)
		}
	}
	var err error
	k.cache, err = d.dev.CreatePipelineCache(data)
	if err != nil && data != nil {
		d.opts.Logger.Warn("Vulkan pipeline cache refused by the driver", "error", err)
		data = nil
		k.cache, err = d.dev.CreatePipelineCache(nil)
	}
	k.saved = len(data)
	return k, err
}

// getAll returns the pipelines of steps, in their order, to be given to [kernels.release] at the end. Those that are not there yet are made now
// by as many goroutines as run at once: a driver compiles for milliseconds to seconds.
func (k *kernels) getAll(ctx context.Context, steps []*plan.Step) (list []*kernel, err error) {
	list = make([]*kernel, len(steps))
	defer func() {
		if err != nil {
			k.release(list)
			list = nil
		}
	}()
	met := map[string]bool{}
	var first, more []int // steps with a pipeline that none before has, and the others
	for i, s := range steps {
		if key := pipelineKey(s); !met[key] {
			met[key] = true
			first = append(first, i)
		} else {
			more = append(more, i)
		}
	}
	var next atomic.Int64
	errs := make([]error, len(first))
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(first)) {
		wg.Go(func() {
			for j := next.Add(1) - 1; j < int64(len(first)); j = next.Add(1) - 1 {
				if errs[j] = ctx.Err(); errs[j] == nil {
					list[first[j]], errs[j] = k.get(steps[first[j]])
				}
				if errs[j] != nil {
					next.Store(int64(len(first))) // the others end after what they are at
				}
			}
		})
	}
	wg.Wait()
	for j, err := range errs {
		if err != nil {
			return list, fmt.Errorf("node %q: %w", steps[first[j]].Node, err)
		}
	}
	for _, i := range more {
		if list[i], err = k.get(steps[i]); err != nil {
			return list, fmt.Errorf("node %q: %w", steps[i].Node, err)
		}
	}
	return list, nil
}

// release ends the use of pipelines; nil ones are left out. No unfinished work may use them.
func (k *kernels) release(list []*kernel) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, kn := range list {
		if kn == nil {
			continue
		}
		if kn.users--; kn.users == 0 {
			k.unused = append(k.unused, kn)
		}
	}
	for len(k.unused) > k.keep {
		oldest := k.unused[0]
		k.dev.dev.DestroyPipeline(oldest.pipeline)
		delete(k.pipelines, oldest.key)
		k.unused = slices.Delete(k.unused, 0, 1)
	}
}

func pipelineKey(s *plan.Step) string {
	if s.Pieces {
		return fmt.Sprint(s.Variant.Name, s.Spec, " in pieces")
	}
	return fmt.Sprint(s.Variant.Name, s.Spec)
}

// get returns the pipeline of a step, made now if it is not there yet, to be given to [kernels.release]. Several may be made at once.
func (k *kernels) get(s *plan.Step) (*kernel, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := pipelineKey(s)
	for {
		if kn, ok := k.pipelines[key]; ok {
			if kn.users++; kn.users == 1 {
				i := slices.Index(k.unused, kn)
				k.unused = slices.Delete(k.unused, i, i+1)
			}
			return kn, nil
		}
		other, ok := k.making[key]
		if !ok {
			break
		}
		k.mu.Unlock()
		<-other
		k.mu.Lock()
	}
	made := make(chan struct{})
	k.making[key] = made
	kn, err := k.create(s)
	delete(k.making, key)
	close(made)
	if err != nil {
		return nil, fmt.Errorf("make pipeline %s %v: %w", s.Variant.Name, s.Spec, err)
	}
	kn.key, kn.users = key, 1
	k.pipelines[key] = kn
	return kn, nil
}

// create makes a pipeline. The caller holds the lock, which is given up while the driver compiles: pipeline caches lock for
// themselves.
func (k *kernels) create(s *plan.Step) (*kernel, error) {
	dev, v := k.dev.dev, s.Variant
	kn := new(kernel)
	var err error
	module, ok := k.modules[v]
	if !ok {
		if module, err = dev.CreateShaderModule(k.dev.opts.code(v)); err != nil {
			return nil, err
		}
		k.modules[v] = module
	}
	kn.types = descriptorTypes(v)
	types := fmt.Sprint(kn.types)
	if kn.set, ok = k.sets[types]; !ok {
		if kn.set, err = dev.CreateDescriptorSetLayout(kn.types); err != nil {
			return nil, err
		}
		k.sets[types] = kn.set
	}
	key := layoutKey{types, v.PushBytes}
	if kn.layout, ok = k.layouts[key]; !ok {
		if kn.layout, err = dev.CreatePipelineLayout([]vk.DescriptorSetLayout{kn.set}, v.PushBytes); err != nil {
			return nil, err
		}
		k.layouts[key] = kn.layout
	}
	p := vk.ComputePipeline{Layout: kn.layout, Module: module, Spec: slices.Clone(s.Spec), Statistics: k.statistics, Base: s.Pieces}
	if v.Matrix && sizedSubgroups(&k.dev.facts) {
		p.SubgroupSize, p.FullSubgroups = int(k.dev.facts.Subgroup.Min), true
	}
	k.mu.Unlock()
	defer k.mu.Lock()
	kn.pipeline, err = dev.CreateComputePipeline(k.cache, p)
	return kn, err
}

// save writes the pipeline cache to disk when it has grown. That it cannot is no error: it is a cache.
func (k *kernels) save() {
	if k.dev.opts.NoCache || k.dev.lost.Load() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	data, err := k.dev.dev.PipelineCacheData(k.cache)
	if err == nil && len(data) != k.saved {
		if err = k.file.write(data); err == nil {
			k.saved = len(data)
		}
	}
	if err != nil {
		k.dev.opts.Logger.Warn("Vulkan pipeline cache not saved", "error", err)
	}
}

func (k *kernels) destroy() {
	dev := k.dev.dev
	for _, p := range k.pipelines {
		dev.DestroyPipeline(p.pipeline)
	}
	for _, l := range k.layouts {
		dev.DestroyPipelineLayout(l)
	}
	for _, s := range k.sets {
		dev.DestroyDescriptorSetLayout(s)
	}
	for _, m := range k.modules {
		dev.DestroyShaderModule(m)
	}
	dev.DestroyPipelineCache(k.cache)
}
