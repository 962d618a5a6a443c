/**
 * What values of drop-downs are called in Chinese. A node keeps the value itself, only what is shown differs. Values
 * that are names (formats, codecs, providers, models) stay as they are.
 */

export const CHOICES = {
  "(env vars)": "（环境变量或默认配置）",
  "(from profile)": "（按配置）",
  "new name": "新名称",
  overwrite: "覆盖",
  fail: "报错",
  skip: "跳过",
  "object url": "普通地址",
  presigned: "签名链接",
  none: "无",
  None: "无",
  "keep and stop": "留存并停止",
  "keep and go on": "留存并继续",
  stop: "停止，不留存",
  auto: "自动",
  name: "名称",
  newest: "最新优先",
  oldest: "最旧优先",
  "pad to first": "填充到第一张的尺寸",
  "crop to first": "裁剪到第一张的尺寸",
  "resize to first": "拉伸到第一张的尺寸",
  "one item each": "各为一项",
  red: "红",
  green: "绿",
  blue: "蓝",
  "load what is there": "加载可读部分",
  upload: "上传",
  download: "下载",
}
