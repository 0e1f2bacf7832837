"""`python -m topics` writes `topics.json`, which Terraform reads."""

from topics.terraform import TOPICS_JSON, topics_json

if __name__ == "__main__":
    TOPICS_JSON.write_bytes(topics_json())
