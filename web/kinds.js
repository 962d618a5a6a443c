/**
 * Which files a node can use, by their extensions. The picker lists these, or all files if the user asks for them.
 */

const IMAGE = "png apng jpg jpeg jfif webp gif bmp tif tiff avif heic heif jxl tga ico ppm pgm psd exr hdr dds"
const VIDEO = "mp4 m4v mov mkv webm avi mpg mpeg m2v ts m2ts mts mxf ogv flv wmv 3gp 3g2 dv nut y4m h264 h265 hevc gif"
const AUDIO = "mp3 flac wav opus ogg oga m4a aac aif aiff wma ac3 eac3 amr au caf wv ape mka mpc tta weba"
const MODEL = "safetensors sft gguf onnx ckpt pt pt2 pth bin pkl"
const TEXT = "txt md json jsonl csv tsv yaml yml xml html srt vtt ass lrc ini toml log caption tags"
const LATENT = "latent"

/** The key of a text for the drop-down, and the extensions. The audio of a video can be loaded too. */
export const KINDS = {
  image: { text: "kind_image", endings: endings(IMAGE) },
  video: { text: "kind_video", endings: endings(VIDEO) },
  audio: { text: "kind_audio", endings: endings(`${AUDIO} ${VIDEO}`) },
  model: { text: "kind_model", endings: endings(MODEL) },
  text: { text: "kind_text", endings: endings(TEXT) },
  latent: { text: "kind_latent", endings: endings(LATENT) },
}

const ALL = `${IMAGE} ${VIDEO} ${AUDIO} ${MODEL} ${TEXT}`

/** The kinds of the panel Files; each file is of one kind. `without`: the files with none of the endings. */
export const FILE_KINDS = {
  image: { text: "kind_image", endings: endings(IMAGE) },
  video: { text: "kind_video", endings: endings(VIDEO).filter((one) => one !== ".gif") },
  audio: { text: "kind_audio_only", endings: endings(AUDIO) },
  model: { text: "kind_model", endings: endings(MODEL) },
  text: { text: "kind_workflow", endings: endings(TEXT) },
  other: { text: "kind_other", endings: endings(ALL), without: true },
}

export const ALL_FILES = { text: "kind_all" }

/** The node that loads a file, by its ending; the first row counts. Others are downloaded as files. */
const LOADERS = [
  ["LoadImageFromCloud", FILE_KINDS.image],
  ["LoadVideoFromCloud", FILE_KINDS.video],
  ["LoadAudioFromCloud", FILE_KINDS.audio],
  ["LoadModelFromCloud", FILE_KINDS.model],
  ["LoadLatentFromCloud", KINDS.latent],
  ["LoadTextFromCloud", FILE_KINDS.text],
]

export function loaderOf(key) {
  return LOADERS.find(([, kind]) => isOfKind(kind, key))?.[0] ?? "DownloadFileFromCloud"
}

/** The files that a node's input `key` accepts; a node that is not here accepts any file. */
export const KIND_OF_NODE = {
  LoadImageFromCloud: KINDS.image,
  LoadMaskFromCloud: KINDS.image,
  LoadVideoFromCloud: KINDS.video,
  LoadAudioFromCloud: KINDS.audio,
  LoadModelFromCloud: KINDS.model,
  LoadTextFromCloud: KINDS.text,
  LoadLatentFromCloud: KINDS.latent,
}

export function isOfKind(kind, key) {
  return kind.endings.some((ending) => key.toLowerCase().endsWith(ending))
}

function endings(names) {
  return [...new Set(names.split(" "))].map((name) => `.${name}`)
}
