output "settings" {
  description = "The environment of API and workers, as far as it is decided here; the key id is that of the key that signs."
  value = {
    SHUTTERLINE_SIZES     = var.sizes
    SHUTTERLINE_S3_BUCKET = aws_s3_bucket.media.bucket
    SHUTTERLINE_S3_REGION = var.region
    SHUTTERLINE_MEDIA_URL = "https://${aws_cloudfront_distribution.edge.domain_name}"
  }
}

output "media_key_ids" {
  description = "What SHUTTERLINE_MEDIA_KEY_ID is with each of media_keys."
  value       = { for name, key in aws_cloudfront_public_key.media : name => key.id }
}

output "topics" {
  description = "Each topic by its full name: partitions, settings, and who owns it."
  value       = local.topics
}
