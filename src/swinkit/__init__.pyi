# The public names of swinkit: read by type checkers, and by __init__.py at run time.
from .backbones.config import SwinConfig as SwinConfig
from .backbones.swin import SwinBackbone as SwinBackbone
from .backbones.swin import create_backbone as create_backbone
from .checkpoints.convert import convert as convert
from .checkpoints.load import load as load
from .checkpoints.save import save as save
from .classification.model import SwinClassifier as SwinClassifier
from .classification.model import create_model as create_model
from .classification.result import Classification as Classification
from .detection.config import Suppression as Suppression
from .detection.model import SwinDetector as SwinDetector
from .detection.model import create_detector as create_detector
from .detection.result import Detections as Detections
from .detection.result import InstanceMasks as InstanceMasks
from .errors import SwinkitError as SwinkitError
from .exporting.export import export as export
from .images.fitting import Fit as Fit
from .images.preprocessing import Preprocessing as Preprocessing
from .inference import evaluate as evaluate
from .inference import predict as predict
from .probing import probe as probe
from .registry import inspect as inspect
from .retrieval import Embeddings as Embeddings
from .retrieval import embed as embed
from .retrieval import similar as similar
from .segmentation.model import SwinSegmenter as SwinSegmenter
from .segmentation.model import create_segmenter as create_segmenter
from .segmentation.result import SemanticMap as SemanticMap
from .task.train_config import TrainConfig as TrainConfig
from .task.views import TestAugmentation as TestAugmentation
from .training.push import push as push
from .training.recipes import load_recipe as load_recipe
from .training.train import TrainResult as TrainResult
from .training.train import train as train

__version__: str
