// Package resnet builds the graphs of the whole ResNet family from one [Config], and finds the Config of a weights
// file from the names and shapes of its tensors.
//
// # The family
//
// He et al. 2016 ("Deep residual learning for image recognition"): ImageNet networks of 18 to 152 layers, and the
// 6n+2 layer networks for CIFAR-10. Xie et al. 2017: ResNeXt. Zagoruyko and Komodakis 2016: wide ResNets, in the form
// that torchvision gives them. He et al. 2019 ("Bag of tricks"): deep stems and average-pooled shortcuts, in the form that timm
// gives them. Hu, Shen and Sun 2018: squeeze and excitation. Wang et al. 2020: efficient channel attention. Zhang 2019: anti-aliasing.
// Bello et al. 2021: ResNet-RS. Zhang et al. 2020: ResNeSt. Li et al. 2019: selective kernels. Gao et al. 2019: Res2Net. He et al. 2016
// ("Identity mappings"): pre-activation. Wu and He 2018: group norms. Kolesnikov et al. 2019: Big Transfer. [Names] lists the members; a
// Config describes any other network of the same pattern.
//
// Not of the family, and refused: timm's pruned networks, whose widths differ from block to block, and those with norms of other kinds
// (resnetv2_50d_evos, resnetv2_50d_frn), TResNet, SENet-154, and test_resnet, whose blocks are of both kinds.
//
// # Names
//
// Parameters have the names of torchvision's state dictionaries ("layer2.0.conv1.weight", "fc.bias"), whatever a file
// calls them, and those of timm where torchvision has no such thing. The nodes of a graph are named after their parameters:
//
//	input                        the picture, [N,InChannels,H,W]
//	conv1, bn1, relu, maxpool    the stem; the CIFAR stem has no maxpool
//	conv1.0 to conv1.6           in a deep stem the three convolutions (0, 3, 6) and what is between them, in place of conv1
//	maxpool.0 to maxpool.2       in place of maxpool a convolution, its norm and ReLU, or in anti-aliased networks the max-pool and the blur
//	maxpool.pad                  the zeros round the picture, with ZeroPadStemPool
//	layerS.B.convI, .bnI         convolution I of block B (from 0) of stage S (from 1)
//	layerS.B.reluI               ReLU after bnI, or for the last I after the shortcut add
//	layerS.B.downsample.0, .1    1×1 convolution and batch norm of a projection shortcut
//	layerS.B.downsample.0 to .2  average pool, where the picture is halved, 1×1 convolution and batch norm of a pooled one
//	layerS.B.shortcut.subsample  the steps of a parameter-free shortcut, each only where it does something
//	layerS.B.shortcut.pad
//	layerS.B.se.mean, .fc1, .act, .fc2   the mean of each channel and two 1×1 convolutions, in networks with Squeeze,
//	layerS.B.se                  and the gates that they open
//	layerS.B.se.mean, .rows, .conv, .channels   efficient channel attention: the means as rows, a convolution over them, and as channels again
//	layerS.B.aa                  what takes over a stride in anti-aliased networks; a blur has .aa.pad and .aa.mean before it
//	layerS.B.conv2.conv, .bn0, .act0   split attention: the convolution of all branches,
//	layerS.B.conv2.mean, .meanR, .sumR, .fc1, .bn1, .act1, .fc2   what makes their scores,
//	layerS.B.conv2, .avd_first, .avd_last   their weighed sum, and the average pool before or behind it
//	layerS.B.convI.paths.P.conv, .bn, .act, .convI.paths   selective kernels, and all of their channels,
//	layerS.B.convI.mean, .meanP, .sumP, .attn.fc_reduce, .attn.bn, .attn.act, .attn.fc_select   what makes their scores,
//	layerS.B.convI               and their weighed sum; the other convolutions of such blocks are convI.conv and convI.bn
//	layerS.B.partI, .convs.I, .convs.I.add, .bns.I, .convs.I.relu, .pool, .parts   a multi-scale core: the parts of the channels, what is done to
//	                             each, and all of them
//	layerS.B.normI               with pre-activation the norm before convolution I, in place of bnI; reluI is behind it
//	layerS.B.downsample.pool, .conv   with pre-activation the shortcut
//	norm, relu                   with pre-activation what is behind the last block; the stem has none then
//	layerS.B.add                 the shortcut add
//	avgpool, flatten, fc         the head; fc is the output, the logits [N,Classes]
package resnet
