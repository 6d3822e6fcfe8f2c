// Package resnet builds the graphs of the whole ResNet family from one [Config], and finds the Config of a weights
// file from the names and shapes of its tensors.
//
// # The family
//
// He et al. 2016 ("Deep residual learning for image recognition"): ImageNet networks of 18 to 152 layers, and the
// 6n+2 layer networks for CIFAR-10. Xie et al. 2017: ResNeXt. Zagoruyko and Komodakis 2016: wide ResNets, in the form
// that torchvision gives them. He et al. 2019 ("Bag of tricks"): deep stems and average-pooled shortcuts, in the form that timm
// gives them. Hu, Shen and Sun 2018: squeeze and excitation. [Names] lists the members; a Config describes any other network of the same pattern.
//
// # Names
//
// Parameters have the names of torchvision's state dictionaries ("layer2.0.conv1.weight", "fc.bias"), whatever a file
// calls them. The nodes of a graph are named after their parameters:
//
//	input                        the picture, [N,InChannels,H,W]
//	conv1, bn1, relu, maxpool    the stem; the CIFAR stem has no maxpool
//	conv1.0 to conv1.6           in a deep stem the three convolutions (0, 3, 6) and what is between them, in place of conv1
//	layerS.B.convI, .bnI         convolution I of block B (from 0) of stage S (from 1)
//	layerS.B.reluI               ReLU after bnI, or for the last I after the shortcut add
//	layerS.B.downsample.0, .1    1×1 convolution and batch norm of a projection shortcut
//	layerS.B.downsample.0 to .2  average pool, where the picture is halved, 1×1 convolution and batch norm of a pooled one
//	layerS.B.shortcut.subsample  the steps of a parameter-free shortcut, each only where it does something
//	layerS.B.shortcut.pad
//	layerS.B.se.mean, .fc1, .act, .fc2   the mean of each channel and two 1×1 convolutions, in networks with Squeeze,
//	layerS.B.se                  and the gates that they open
//	layerS.B.add                 the shortcut add
//	avgpool, flatten, fc         the head; fc is the output, the logits [N,Classes]
package resnet
