# The edge: signed URLs alone, one cache entry for all users, one layer between edges and bucket.

resource "aws_cloudfront_public_key" "media" {
  for_each = var.media_keys

  name        = "shutterline-${var.environment}-${each.key}"
  comment     = "Photo URLs of Shutterline, ${var.environment}"
  encoded_key = each.value
}

resource "aws_cloudfront_key_group" "media" {
  name    = "shutterline-${var.environment}"
  comment = "Who may sign photo URLs; two while keys rotate"
  items   = [for each in aws_cloudfront_public_key.media : each.id]
}

resource "aws_cloudfront_origin_access_control" "media" {
  name                              = "shutterline-${var.environment}"
  description                       = "The edge's own signature to the closed bucket"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_cache_policy" "media" {
  name    = "shutterline-${var.environment}"
  comment = "By path alone: a signature says who may look, never what is seen"

  min_ttl     = 0
  default_ttl = 86400
  max_ttl     = 31536000 # What renditions are stored with.

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = false # Photos are compressed.
    enable_accept_encoding_gzip   = false

    cookies_config {
      cookie_behavior = "none"
    }

    headers_config {
      header_behavior = "none"
    }

    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

resource "aws_cloudfront_response_headers_policy" "media" {
  name    = "shutterline-${var.environment}"
  comment = "To browsers; the edge itself keeps by the object's own header"

  custom_headers_config {
    # The edge knows no remaining life of a URL. A quarter of the shortest that the API gives out
    # (media_url_life_s_min) bounds by how much a browser's copy outlives it.
    items {
      header   = "Cache-Control"
      value    = "private, max-age=450"
      override = true
    }
  }

  security_headers_config {
    content_type_options {
      override = true
    }

    # CloudFront cannot refuse what is no image. Opened as a page, such an object runs and loads nothing.
    content_security_policy {
      content_security_policy = "default-src 'none'; sandbox"
      override                = true
    }
  }

  # A read without headers of its own needs no preflight, so only these are allowed.
  dynamic "cors_config" {
    for_each = length(var.upload_origins) > 0 ? toset(["pages"]) : toset([])

    content {
      access_control_allow_credentials = false
      origin_override                  = true

      access_control_allow_headers {
        items = ["Range"]
      }

      access_control_allow_methods {
        items = ["GET", "HEAD"]
      }

      access_control_allow_origins {
        items = var.upload_origins
      }
    }
  }
}

resource "aws_cloudfront_distribution" "edge" {
  comment         = "Photos of Shutterline, ${var.environment}"
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"

  origin {
    origin_id                = "media"
    domain_name              = aws_s3_bucket.media.bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.media.id

    origin_shield {
      enabled              = true
      origin_shield_region = var.region
    }
  }

  default_cache_behavior {
    target_origin_id           = "media"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    viewer_protocol_policy     = "https-only"
    cache_policy_id            = aws_cloudfront_cache_policy.media.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.media.id
    trusted_key_groups         = [aws_cloudfront_key_group.media.id]
  }

  # A photo that is not there yet may be soon.
  dynamic "custom_error_response" {
    for_each = [403, 404]

    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 2
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = true
  }
}
