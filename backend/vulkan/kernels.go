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
	pipelines map[string]kernel
	making    map[string]chan struct{} // pipelines that a goroutine is about to make; closed when it ended
}

// kernel is what a dispatch needs of a pipeline.
type kernel struct {
	types    []vk.DescriptorType // of the bindings
	pipeline vk.Pipeline
	layout   vk.PipelineLayout
	set      vk.DescriptorSetLayout
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
		layouts: map[layoutKey]vk.PipelineLayout{}, pipelines: map[string]kernel{}, making: map[string]chan struct{}{},
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

// getAll returns the pipelines of steps, in their order. Those that are not there yet are made now by as many goroutines as run
// at once: a driver compiles for milliseconds to seconds.
func (k *kernels) getAll(ctx context.Context, steps []*plan.Step) ([]kernel, error) {
	distinct := map[string]*plan.Step{}
	var todo []*plan.Step
	for _, s := range steps {
		if key := pipelineKey(s); distinct[key] == nil {
			distinct[key] = s
			todo = append(todo, s)
		}
	}
	var next atomic.Int64
	errs := make([]error, len(todo))
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(todo)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(todo)); i = next.Add(1) - 1 {
				if errs[i] = ctx.Err(); errs[i] == nil {
					_, errs[i] = k.get(todo[i])
				}
				if errs[i] != nil {
					next.Store(int64(len(todo))) // the others end after what they are at
				}
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("node %q: %w", todo[i].Node, err)
		}
	}
	list := make([]kernel, len(steps))
	for i, s := range steps {
		var err error
		if list[i], err = k.get(s); err != nil {
			return nil, fmt.Errorf("node %q: %w", s.Node, err)
		}
	}
	return list, nil
}

func pipelineKey(s *plan.Step) string { return fmt.Sprint(s.Variant.Name, s.Spec) }

// get returns the pipeline of a step, made now if it is not there yet. Several may be made at once.
func (k *kernels) get(s *plan.Step) (kernel, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := pipelineKey(s)
	for {
		if kn, ok := k.pipelines[key]; ok {
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
		return kernel{}, fmt.Errorf("make pipeline %s %v: %w", s.Variant.Name, s.Spec, err)
	}
	k.pipelines[key] = kn
	return kn, nil
}

// create makes a pipeline. The caller holds the lock, which is given up while the driver compiles: pipeline caches lock for
// themselves.
func (k *kernels) create(s *plan.Step) (kn kernel, err error) {
	dev, v := k.dev.dev, s.Variant
	module, ok := k.modules[v]
	if !ok {
		if module, err = dev.CreateShaderModule(k.dev.opts.code(v)); err != nil {
			return kn, err
		}
		k.modules[v] = module
	}
	kn.types = descriptorTypes(v)
	types := fmt.Sprint(kn.types)
	if kn.set, ok = k.sets[types]; !ok {
		if kn.set, err = dev.CreateDescriptorSetLayout(kn.types); err != nil {
			return kn, err
		}
		k.sets[types] = kn.set
	}
	key := layoutKey{types, v.PushBytes}
	if kn.layout, ok = k.layouts[key]; !ok {
		if kn.layout, err = dev.CreatePipelineLayout([]vk.DescriptorSetLayout{kn.set}, v.PushBytes); err != nil {
			return kn, err
		}
		k.layouts[key] = kn.layout
	}
	p := vk.ComputePipeline{Layout: kn.layout, Module: module, Spec: slices.Clone(s.Spec)}
	if v.Matrix && sizedSubgroups(&k.dev.facts) {
		p.SubgroupSize, p.FullSubgroups = int(k.dev.facts.Subgroup.Size), true
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
