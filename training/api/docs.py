"""The page that documents the REST API: Swagger's, in the site's own clothes, with nothing loaded from elsewhere."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from ninja import NinjaAPI
from ninja.openapi.docs import DocsBase


class Documentation(DocsBase):
    def render_page(self, request: HttpRequest, api: NinjaAPI, **words: Any) -> HttpResponse:
        return render(request, "training/api_docs.html", {"document": self.get_openapi_url(api, words)})
