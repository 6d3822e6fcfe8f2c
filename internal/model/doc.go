// Package model puts a network together that can classify pictures: which architecture it is, its weights, how a
// picture becomes its input, and what its outputs are called.
//
// # What can be loaded
//
// [Load] takes the name of a bundled model ("resnet20-cifar10"), the path of a weights file (safetensors or PyTorch;
// the architecture is found from its tensors, see [resnet.Detect]) or of an ONNX file, which holds a network, or the name of an architecture ("resnet50") along
// with Options.Weights: a file, or "random:SEED" for reproducible weights with calibrated batch-norm statistics.
//
// # What tensors do not tell
//
// Some networks have the tensors of another: anti-aliased ones (resnetaa50, resnetblur50) those of the plain one, resnet50-v1 those of resnet50, and
// resnet50_gn those of a ResNet-50 whose statistics are missing. Which it is says the first of: the architecture that Load was asked for by name, with
// the file as Options.Weights; "architecture" in the metadata of a safetensors file; "architecture" in config.json (timm); for anti-aliasing and
// group norms the beginning of the file's name ("resnetblur50-84f4748f.pth"). Where nothing says so, the network is the plain one.
//
// # The preset
//
// How pictures are prepared and what the classes are called is decided by the first of these that tells it; the two are
// decided one by one, and [Preset] says what decided them:
//
//  1. the options (on the command line --resize, --crop, --mean, --std, --interpolation, --labels);
//  2. metadata in the header of a safetensors file, or the metadata_props of an ONNX file: "preprocess" and "labels";
//  3. preprocessor_config.json beside the weights file (Hugging Face transformers);
//  4. config.json beside it: pretrained_cfg and label_names (timm), id2label (transformers); of an ONNX file in a folder
//     "onnx" these two may lie above the folder;
//  5. the name of a file that torchvision published with its newer recipe, which resizes to 232;
//  6. the architecture: for an ImageNet stem torchvision's V1 preset, which resizes the shorter side to 256/224 of the
//     input size with bilinear interpolation, cuts out the centre and takes ImageNet's mean and standard deviation (0.5 and
//     0.5 with pre-activation, as timm does); for a
//     CIFAR stem a resize and crop to the input size with the same mean and standard deviation. The labels are those of
//     ImageNet-1k for 1000 classes, those of CIFAR-10 for a CIFAR stem with 10, and numbers otherwise. A network of an ONNX
//     file counts as one with a CIFAR stem when its first convolution has stride 1; the input size is the file's, or 32 and
//     224 when it leaves it open.
//
// torchvision's V2 weights under another name want --resize 232: nothing in such a file tells it apart from a V1 file.
package model
